"""The parts of the pages for users that are made from the code: `nox -s pages` writes them, a test compares them."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from palaver import Capabilities, open_store
from palaver_conformance.laws import all_laws
from palaver_conformance.laws.untestable import UNTESTABLE, UNTESTABLE_IN_PART
from palaver_conformance.saboteurs._table import kill_table

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parent.parent

# What a user writes, and a URL of that kind that says the most.
STORES: Final = {
    "memory://": ("memory://name", "palaver-memory"),
    "file:.sessions": ("file:.sessions", "palaver-file"),
    "sqlite:///bot.db": ("sqlite:///bot.db", "palaver-sql"),
    "postgresql://host/bots": ("postgresql://host/bots", "palaver-sql[postgresql]"),
    "mysql://host/bots": ("mysql://host/bots", "palaver-sql[mysql]"),
    "mongodb://host": ("mongodb://host", "palaver-mongo"),
    "redis://host": ("redis://host", "palaver-redis"),
}
FLAGS: Final = [field.name for field in fields(Capabilities) if field.type in {"bool", bool}]


def store_table() -> str:
    """Return the matrix of stores and capabilities, from what the stores declare."""
    rows = [["store", "URL", "package", *FLAGS], ["---"] * (3 + len(FLAGS))]
    for shown, (url, package) in STORES.items():
        store, plain = open_store(url), open_store(shown)
        flags = [_flag(store.capabilities, plain.capabilities, name) for name in FLAGS]
        rows.append([f"`{type(store).__name__}`", f"`{shown}`", f"`{package}`", *flags])
    return _table(rows)


def law_list() -> str:
    """Return all laws, with what they prove and the saboteurs that prove them."""
    rows = [["law", "", "sentence", "proves", "needs"], ["---"] * 5]
    for law in all_laws():
        needs = [*law.needs, *(f"hook `{hook}`" for hook in law.hooks)]
        rows.append([law.id, law.level, law.sentence, ", ".join(law.proves), ", ".join(needs)])
    return _table(rows)


def untestable_list() -> str:
    """Return the rules of the contract that no law proves, or not wholly, each with the reason."""
    return "".join(f"- **{rule}**: {why}\n" for rule, why in (UNTESTABLE | UNTESTABLE_IN_PART).items())


def replace_part(page: str, name: str, text: str) -> str:
    """Return a page with the part between its two markers replaced."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs the marks of {name!r}, once each")
    return re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


def kills() -> str:
    """Return how surely each saboteur is caught by its law; measured, which takes a quarter of an hour."""
    return kill_table(range(20), "ci")


PARTS: Final = {
    "stores": ("README.md", store_table),
    "laws": ("docs/laws.md", law_list),
    "untestable": ("docs/laws.md", untestable_list),
}
"""Each part with the page that it stands in, and what makes it."""

MEASURED: Final = {"kills": ("docs/laws.md", kills)}
"""The parts that are measured, and so are not compared; `nox -s pages -- kills` writes them, too."""


def main() -> None:
    """Write all parts, and of those that are measured the ones that are named."""
    measured = {name: part for name, part in MEASURED.items() if name in sys.argv}
    for name, (file, make) in (PARTS | measured).items():
        path = ROOT / file
        path.write_text(replace_part(path.read_text(encoding="utf-8"), name, make()), encoding="utf-8")
        sys.stdout.write(f"wrote {name} into {file}\n")


def _flag(most: Capabilities, plain: Capabilities, name: str) -> str:
    if not getattr(most, name):
        return "–"
    return "yes" if getattr(plain, name) else "with a name"


def _table(rows: Iterable[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
