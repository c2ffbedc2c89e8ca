"""Session ids that real media have taken for one another, by what relates them."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final
from urllib.parse import quote

__all__ = ("RELATED", "SEPARATORS", "alphabet", "long_ids", "namespaces", "wild_prefixes")

SEPARATORS: Final = ":/.-_|#\x1f\x1e\t ,;~!$&+=@\\%*\n'\"()[]{}<>^`?é"

_LENGTHS: Final = (7, 8, 15, 16, 20, 31, 32, 36, 40, 63, 64, 100, 127, 128, 190, 191, 200, 249, 250, 254, 255, 256, 257, 300, 383, 384, 400, 500, 510, 511)  # fmt: skip


def long_ids(longest: int) -> list[str]:
    """Return ids that have a long beginning, or a long end, in common; up to the longest id there is."""
    ids = [text for length in _LENGTHS if length < longest for text in ("p" * length + "1", "p" * length + "2")]
    ids += ["p" * length for length in _LENGTHS if length <= longest]
    ids += [text for length in (64, 255) if length < longest for text in ("1" + "s" * length, "2" + "s" * length)]
    # In characters of two, three and four bytes: the limit is one of bytes.
    ids += [character * (longest // len(character.encode())) for character in ("x", "é", "漢", "😀")]
    ids += [character * (longest // len(character.encode()) - 1) + "y" for character in ("x", "é", "漢", "😀")]
    return [each for each in dict.fromkeys(ids) if each]


_ESCAPES: Final = (
    "a/b", "a%2Fb", "a%2fb", "a%252Fb", "a_2Fb", "a=2Fb", "a\\b", "a\\\\b", "a%5Cb", "A", "%41", "\\x41", "\\u0041",
    "=41", "&#65;", "a&b", "a&amp;b", "a b", "a+b", "a%20b", "%", "%25", "%%", "'", "''", "\\'", '"', '""', '\\"', "~",
    "~0", "~1", "~01", "a", "61", "YQ==", "YQ", "0x61", "\\n", "\n", "\\0", "%00", "xn--mnchen-3ya", "münchen", "b'a'",
    quote("é"), "é", "\\xe9", "\\u00e9", "u00e9", "_u00e9", "\\", "%5C",
    hashlib.sha256(b"a").hexdigest(), hashlib.sha1(b"a", usedforsecurity=False).hexdigest(),
    hashlib.md5(b"a", usedforsecurity=False).hexdigest(),
)  # fmt: skip

RELATED: Final[dict[str, tuple[str, ...]]] = {
    "case": (
        "a", "A", "session", "Session", "SESSION", "telegram:AbC", "telegram:aBc", "telegram:abc", "straße", "STRASSE",
        "strasse", "ß", "ẞ", "ss", "i", "I", "İ", "ı", "i̇", "k", "K", "\u212a", "é", "É", "σ", "ς", "Σ", "ǆ", "ǅ", "Ǆ",
        "я", "Я", "ω", "Ω", "\u2126", "å", "Å", "ⅷ", "Ⅷ", "ⓐ", "Ⓐ", "𐐨", "𐐀",
    ),
    "normal form": (
        "é", "e\u0301", "e", "Å", "A\u030a", "\u212b", "A", "ﬁ", "fi", "①", "1", "Ａ", "ｱ", "ア", "가", "\u1100\u1161",
        "ñ", "n\u0303", "n", "²", "2", "½", "1⁄2", "a\u200b", "a", "a\u200d", "a\u00ad", "\ufeffa", "a\u2060", "☺",
        "☺\ufe0f", "ö", "o\u0308", "o", "oe", "а", "ſ", "s", "q\u0307\u0323", "q\u0323\u0307", "😀", "😁", "?", "\ufffd",
        "\U0010ffff", "\uffff", "\ue000",
    ),
    "prefix": (
        "a", "aa", "aaa", "ab", "abc", "abcd", "b", "ba", "session", "session:", "session:1", "session:10",
        "session:100", "session:1:1", "ession:1", "1", "10", "100", "x", "xy", "xyz", "yz", "z",
    ),
    "escape": _ESCAPES,
    "separator": (
        *(f"a{separator}b" for separator in SEPARATORS), "ab", *(f"a{separator}" for separator in SEPARATORS),
        *(f"{separator}a" for separator in SEPARATORS), "a::b", "a//b", "a..b", "a", "b", ":", "::", "/", "//",
    ),
    "white space": (
        "a", "a ", " a", " a ", "a  ", "  a", "a\t", "a\n", "a\r", "a\r\n", "\na", "a\n\n", "a.", "a. ", "a..", "a\u00a0",
        "a\u3000", "a\u2028", "a\u0085", "a\x0b", "a\x0c", "a\x1c", " ", "  ", "\t", "\n", "\r", "\r\n", "\u00a0",
        "\u3000", "\u200b", "a b", "a  b", "a\tb", "a\nb", "a\r\nb", "ab", "a\x01", "\x01", "\x1b[0m", "\x7f", "a\x7f",
    ),
    "path": (
        "a", ".", "..", "...", "/", "//", "a/b", "a//b", "a/./b", "a/../b", "b", "/a", "a/", "./a", "../a", "../../a",
        "../../../../../../palaver-escape", "/palaver-escape", "C:a", "C:\\a", "C:/a", "\\\\host\\a", "a\\b",
        "CON", "con", "NUL", "nul.txt", "AUX", "COM1", "LPT1.json", "a:stream", "a::$DATA", "~", "~root", "$HOME",
        "%TEMP%", "-rf", "--", ".git", ".hidden", "a.json", "a.tmp", "a.lock", "a.bak", "a~", "file:///a", "a?b", "a#b",
        "lost+found", "index", "tmp", "_id", "__init__", "data",
    ),
    "wildcard": (
        "a", "ab", "abc", "axc", "a*", "*", "a?c", "?", "??", "a%", "%", "a_c", "_", "a.c", ".*", ".", "[ab]", "[a-z]",
        "[!a]", "[^a]", "{a,b}", "a|b", "^a", "a$", "(a)", "a+", "a{1}", "\\*", "\\%", "\\_", "**", "a**c", "a[", "a]", "~a",
    ),
    "number": (
        "1", "01", "001", "1.0", "1.", "+1", " 1", "1 ", "-1", "0", "-0", "00", "1e3", "1000", "1E3", "1,000", "1_000",
        "0x10", "16", "0b1", "0o1", "١", "１", "9007199254740992", "9007199254740993", "18446744073709551615",
        "18446744073709551616", "18446744073709551617", "1e400", "inf", "Infinity", "nan", "NaN", "null", "NULL", "None",
        "none", "nil", "true", "True", "false", "False", "undefined", "2024-01-01", "2024-1-1", "1/2",
        "550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000", "550e8400e29b41d4a716446655440000",
        "507f1f77bcf86cd799439011", "507F1F77BCF86CD799439011",
    ),
    "injection": (
        "a", "'; DROP TABLE sessions; --", "' OR '1'='1", '" OR ""="', "a' --", "a'; DELETE FROM sessions", "a`b", "a;b",
        "a/*b*/", '{"$gt": ""}', "$where", "$ne", "a\r\nFLUSHALL\r\n", "a\r\n$3\r\nfoo", "*", "%s", "%(a)s", "%d", ":a",
        "?", "$1", "{0}", "{a}", "${a}", "#{a}", "{{a}}", "__proto__", "constructor", "toString", "__class__", "_id",
        "<script>", "<a>", "`id`", "$(id)", "|id", "&&id", "a\x1b[2J", "a\bb", "MATCH", "COUNT", "id", "key", "payload",
        "version", "expires_at", "namespace", "sessions", "ttl",
    ),
}  # fmt: skip


def namespaces() -> list[str]:
    """Return namespaces that are related to one another."""
    return [
        "", "a", "A", "aa", "ab", "a:", ":", "a:b", "a/b", "a.b", "a b", " ", "a ", "a*", "*", "a?", "?", "a_", "_", "a%",
        "%", "[a]", ".", "..", "../a", "/", "a/", "\\", "é", "e\u0301", "É", "1", "01", "0", "None", "null", "default",
        "palaver", "sessions", "'; --", "$", "{a}", "a{b}", "\n", "a\n", "😀", "a\x1f", "x" * 64 + "1", "x" * 64 + "2",
    ]  # fmt: skip


def wild_prefixes() -> list[str]:
    """Return prefixes in which a medium may see a wildcard, a boundary or another letter."""
    return [
        "a", "ab", "abc", "A", "a*", "*", "a%", "%", "a_", "_", "a.", ".", "?", "[a]", "[", "\\", "a\\", "^", "a|", "(",
        "é", "e", "e\u0301", "ß", "s", " ", "a ", "1", "0", ":", "a:", "😀", "\U0010ffff", "session", "session:1",
        "\n", "'", '"', "a/", "/", "..", "$", "{", "zzz",
    ]  # fmt: skip


def alphabet() -> str:
    """Return the characters of generated ids: those that mean something to some medium, and a few of each length."""
    letters = "abAB01 .:/\\*%_?[]{}'\"$-+~#\n\té"
    return letters + unicodedata.normalize("NFD", "é") + "ßİK漢😀\u200b\ufeff\x01\x7f"
