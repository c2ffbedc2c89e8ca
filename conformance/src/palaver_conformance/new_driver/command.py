"""`palaver new-driver NAME`: a complete package for a driver, whose tests pass at once."""

from __future__ import annotations

import re
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Final

import click

__all__ = ("new_driver",)

_NAME: Final = re.compile(r"[a-z][a-z0-9]*")
_TEMPLATES: Final = "templates"


@click.command("new-driver")
@click.argument("name")
@click.option(
    "--into",
    "parent",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The folder in which to make the package; the current one by default.",
)
def new_driver(name: str, parent: Path) -> None:
    """Write a package for a driver, for NAME:// URLs, with a conformance test that passes at once."""
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} cannot be a driver: write small letters a to z and digits, as in mydb")
    folder = parent / f"palaver-{name}"
    if folder.exists():
        raise click.UsageError(f"{folder} is there already; nothing was changed")
    for path, template in _files(name).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(template, encoding="utf-8")
    click.echo(f"Wrote {folder}. Now:\n\n    cd {folder}\n    pip install -e '.[test]'\n    pytest\n")
    click.echo(f"Then replace the dict in src/palaver_{name}/_store.py by your database.")


def _files(name: str) -> dict[str, str]:
    package = f"palaver_{name}"
    facts = {
        "distribution": f"palaver-{name}",
        "package": package,
        "scheme": name,
        "title": name.capitalize(),
        "store": f"{name.capitalize()}SessionStore",
        "core_range": _core_range(metadata.version("palaver-core")),
    }
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{package}/__init__.py": "__init__.py",
        f"src/{package}/_plugin.py": "_plugin.py",
        f"src/{package}/_store.py": "_store.py",
        "tests/test_conformance.py": "test_conformance.py",
    }
    return {path: Template(_template(source)).substitute(facts) for path, source in files.items()} | {
        f"src/{package}/py.typed": ""
    }


def _template(name: str) -> str:
    return (resources.files("palaver_conformance.new_driver") / _TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def _core_range(version: str) -> str:
    """Return the range of versions of the core that speak the same contract as this one."""
    major, minor, *_ = version.split(".")
    return f">={major}.{minor},<{major}.{int(minor) + 1}"
