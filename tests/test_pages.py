"""The pages for users say what the code says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.pages import PARTS, ROOT, replace_part


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_part_that_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """`nox -s pages` writes it."""
    file, make = PARTS[name]
    page = (ROOT / file).read_text(encoding="utf-8")

    assert page == replace_part(page, name, make())


# The distribution `palaver` is somebody else's.
FOREIGN_INSTALL = re.compile(r"pip install[^\n`&]*?(?<![\w/.-])palaver(?=[\s\[`'\"]|$)")


def test_nobody_is_told_to_install_a_strangers_package() -> None:
    """The umbrella is `palaver-sessions`, on every page, in every error and in every extra."""
    told = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in sorted(ROOT.glob("*.*")) + sorted(ROOT.glob("[!.]*/**/*"))
        if path.suffix in {".md", ".py", ".toml", ".txt"} and path != Path(__file__) and path.is_file()
        for found in [FOREIGN_INSTALL.search(path.read_text(encoding="utf-8"))]
        if found
    ]

    assert told == []
    assert FOREIGN_INSTALL.search("pip install 'palaver[file]'")
    assert FOREIGN_INSTALL.search("pip install -U palaver")
    assert not FOREIGN_INSTALL.search("pip install uv && uv run palaver chat")


def test_the_line_that_installs_a_checkout_names_folders_that_are_there() -> None:
    """Each a distribution, and all that the umbrella needs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [line] = [line for line in readme.splitlines() if line.strip().startswith("pip install './core")]
    folders = re.findall(r"\./([\w/]+)|(?<= )(\.)$", line)

    installed = {
        tomllib.loads((ROOT / (folder or own) / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
        for folder, own in folders
    }
    assert {"palaver-sessions", "palaver-core", "palaver-memory"} <= installed
