"""Stores in which two different ids meet."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from abc import abstractmethod
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from palaver.errors import InvalidSessionIdError
from palaver_conformance.saboteurs._honest import HonestStore
from palaver_conformance.saboteurs._registry import saboteur

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Folding(HonestStore):
    """Keeps a session under something else than its id."""

    def key(self, session_id: str) -> Any:
        return self.room(), self.folded(session_id)

    @abstractmethod
    def folded(self, session_id: str) -> str: ...


@saboteur("id-casefold", law="ID-01", words="which was written to 'a'")
class IdCasefold(_Folding):
    """Case does not matter, as on some disks and in some collations."""

    def folded(self, session_id: str) -> str:
        return session_id.casefold()


@saboteur("id-lower-ascii", law="ID-01", words="which was written to 'a'")
class IdLowerAscii(_Folding):
    """The case of ASCII letters does not matter."""

    def folded(self, session_id: str) -> str:
        return re.sub("[A-Z]", lambda letter: letter[0].lower(), session_id)


@saboteur("id-normalise", law="ID-02", words="which was written to 'é'")
class IdNormalise(_Folding):
    """Ids are kept in the normal form NFC."""

    def folded(self, session_id: str) -> str:
        return unicodedata.normalize("NFC", session_id)


@saboteur("id-strip-accents", law="ID-02", words="which was written to 'é'")
class IdStripAccents(_Folding):
    """Accents do not matter, as in some collations."""

    def folded(self, session_id: str) -> str:
        return "".join(each for each in unicodedata.normalize("NFD", session_id) if not unicodedata.combining(each))


@saboteur("id-invisible", law="ID-02", words=r"which was written to 'a\u200b'")
class IdInvisible(_Folding):
    """Invisible characters are lost."""

    def folded(self, session_id: str) -> str:
        return "".join(each for each in session_id if unicodedata.category(each) != "Cf") or session_id


@saboteur("id-three-bytes", law="ID-02", words="which was written to '")
class IdThreeBytes(_Folding):
    """A character beyond U+FFFF becomes a question mark, as in a column of three-byte characters."""

    def folded(self, session_id: str) -> str:
        return re.sub("[\U00010000-\U0010ffff]", "?", session_id)


@saboteur("id-truncate", law="ID-04", words="which was written to 'pppp")
class IdTruncate(_Folding):
    """Only the first 255 characters of an id count."""

    def folded(self, session_id: str) -> str:
        return session_id[:255]


@saboteur("id-keeps-the-end", law="ID-04", words="which was written to '")
class IdKeepsTheEnd(_Folding):
    """Of a long id the end is kept only."""

    def folded(self, session_id: str) -> str:
        return session_id[-200:]


@saboteur("id-long-fail", law="ID-04", words="builtins.OSError: File name too long")
class IdLongFail(_Folding):
    """An id of more than 250 bytes cannot be a file name."""

    def folded(self, session_id: str) -> str:
        if len(session_id.encode()) > 250:
            raise OSError("File name too long")
        return session_id


@saboteur("id-one-byte-too-long", law="ID-04", words="InvalidSessionIdError")
class IdOneByteTooLong(_Folding):
    """An id that is exactly as long as declared is refused."""

    def folded(self, session_id: str) -> str:
        if len(session_id.encode()) >= self.capabilities.max_id_bytes:
            raise InvalidSessionIdError("it is too long")
        return session_id


@saboteur("id-escape", law="ID-05", words="which was written to 'a/b'")
class IdEscape(_Folding):
    """What looks escaped already is not escaped again."""

    def folded(self, session_id: str) -> str:
        return quote(session_id, safe="%")


@saboteur("id-unquote", law="ID-05", words="which was written to 'a/b'")
class IdUnquote(_Folding):
    """An id is unquoted, as if it came from a URL."""

    def folded(self, session_id: str) -> str:
        return unquote(session_id)


@saboteur("id-hash", law="ID-05", words="which was written to 'a'")
class IdHash(_Folding):
    """Ids are hashed, but for those that look like a hash."""

    def folded(self, session_id: str) -> str:
        is_hash = re.fullmatch("[0-9a-f]{64}", session_id) is not None
        return session_id if is_hash else hashlib.sha256(session_id.encode()).hexdigest()


@saboteur("id-separator", law="ID-06", words="which was written to 'a:b'")
class IdSeparator(_Folding):
    """A slash becomes a colon, which is the medium's own separator."""

    def folded(self, session_id: str) -> str:
        return session_id.replace("/", ":")


@saboteur("id-slug", law="ID-06", words="which was written to 'a")
class IdSlug(_Folding):
    """What is neither letter nor digit becomes a hyphen."""

    def folded(self, session_id: str) -> str:
        return re.sub(r"\W", "-", session_id)


@saboteur("id-strip", law="ID-07", words="which was written to 'a'")
class IdStrip(_Folding):
    """White space around an id is lost."""

    def folded(self, session_id: str) -> str:
        return session_id.strip() or session_id


@saboteur("id-trailing-dots", law="ID-07", words="which was written to 'a'")
class IdTrailingDots(_Folding):
    """Spaces and dots at the end of an id are lost, as on some disks."""

    def folded(self, session_id: str) -> str:
        return session_id.rstrip(" .") or session_id


@saboteur("id-path", law="ID-08", words="which was written to 'a/b'")
class IdPath(_Folding):
    """An id is a path, and `a/./b` leads where `a/b` leads."""

    def folded(self, session_id: str) -> str:
        return posixpath.normpath(session_id)


@saboteur("id-basename", law="ID-08", words="which was written to '")
class IdBasename(_Folding):
    """Only what comes after the last slash counts."""

    def folded(self, session_id: str) -> str:
        return posixpath.basename(session_id) or session_id


@saboteur("id-reserved", law="ID-08", words="InvalidSessionIdError")
class IdReserved(_Folding):
    """Names that mean a device on some system are refused."""

    def folded(self, session_id: str) -> str:
        if session_id.partition(".")[0].upper() in ("CON", "NUL", "AUX", "COM1", "LPT1"):
            raise InvalidSessionIdError("it is the name of a device")
        return session_id


@saboteur("id-wildcard", law="ID-09", words="which was written to 'a'")
class IdWildcard(HonestStore):
    """An id is looked up as a glob pattern."""

    def get(self, session_id: str) -> Any:
        found = (each for each in self.own_ids() if fnmatchcase(each, session_id))
        return super().get(next(found, session_id))


@saboteur("id-like", law="ID-09", words="which was written to '")
class IdLike(HonestStore):
    """An id is looked up with LIKE, so that `%` and `_` are wildcards."""

    def get(self, session_id: str) -> Any:
        pattern = re.escape(session_id).replace("%", ".*").replace("_", ".")
        found = (each for each in self.own_ids() if re.fullmatch(pattern, each, re.DOTALL))
        return super().get(session_id) or super().get(next(found, session_id))


@saboteur("id-numeric", law="ID-10", words="which was written to '1'")
class IdNumeric(_Folding):
    """An id of digits is a number: `1` is `01`."""

    def folded(self, session_id: str) -> str:
        return str(int(session_id)) if session_id.isdecimal() else session_id


@saboteur("id-float", law="ID-10", words="which was written to '9007199254740992'")
class IdFloat(_Folding):
    """An id of sixteen digits or more is a number, and kept as a float."""

    def folded(self, session_id: str) -> str:
        is_long = session_id.isdecimal() and len(session_id) >= 16
        return str(float(session_id)) if is_long else session_id


@saboteur("id-uuid", law="ID-10", words="which was written to '550e8400-e29b-41d4-a716-446655440000'")
class IdUuid(_Folding):
    """An id that looks like a UUID is one, however it is written."""

    def folded(self, session_id: str) -> str:
        plain = session_id.replace("-", "").lower()
        return plain if re.fullmatch("[0-9a-f]{32}", plain) else session_id


@saboteur("id-injection", law="ID-11", words="which was written to \"'; DROP")
class IdInjection(_Folding):
    """A quote ends an id: what follows is a part of the query."""

    def folded(self, session_id: str) -> str:
        return session_id.partition("'")[0]


@saboteur("id-line-injection", law="ID-11", words="which was written to 'a'")
class IdLineInjection(_Folding):
    """A line feed ends an id: what follows is another command."""

    def folded(self, session_id: str) -> str:
        return session_id.partition("\r\n")[0]


@saboteur("id-placeholder", law="ID-11", words="builtins.")
class IdPlaceholder(_Folding):
    """A placeholder in an id is filled in."""

    def folded(self, session_id: str) -> str:
        return session_id.format() if "{" in session_id else session_id


@saboteur("id-generated", law="ID-12", words="which was written to '")
class IdGenerated(_Folding):
    """Ids of the same characters in another order meet, if they are long: their checksum is a sum."""

    def folded(self, session_id: str) -> str:
        return "".join(sorted(session_id)) if len(session_id) > 8 else session_id


@saboteur("scan-encoded", law="ID-13", words="scan to show exactly the ids that were written")
class ScanEncoded(HonestStore):
    """A scan shows ids as they are escaped in the medium."""

    async def scan(self, prefix: str = "") -> AsyncIterator[str]:
        async for session_id in super().scan(prefix):
            yield quote(session_id, safe=":")
