"""Every verb that a person or the continuous integration needs: `nox -l` lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import nox

ROOT: Final = Path(__file__).parent
PROJECT: Final = nox.project.load_toml("pyproject.toml")
PYTHONS: Final = nox.project.python_versions(PROJECT)
MEMBERS: Final = {"palaver-core": "core"} | {
    f"palaver-{folder.name}": f"plugins/{folder.name}" for folder in sorted((ROOT / "plugins").iterdir())
}
PLUGINS: Final = [name for name in MEMBERS if name != "palaver-core"]
CODE: Final = ["core", "plugins", "tests", "conftest.py", "noxfile.py"]

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests", "wheels", "umbrella"]
# Whoever has one of the Pythons can run all that is needed to work; those that are missing are named.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, tests included."""
    session.install(*_group("types"), *_group("test"), *_group("nox"), *_editable())
    session.run("mypy", *CODE)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests, on what is in the checkout."""
    session.install(*_group("test"), *_editable())
    session.run("pytest", *session.posargs)


@nox.session
@nox.parametrize("plugin", PLUGINS)
def wheels(session: nox.Session, plugin: str) -> None:
    """Build everything, then test the core and one plugin alone, from their wheels."""
    built = _build(session)
    session.install(*_group("test"), built["palaver-core"] + "[cli]", built[plugin])
    _require_wheel(session, "palaver", "palaver_" + plugin.removeprefix("palaver-"))
    session.run("pytest", "core/tests", f"{MEMBERS[plugin]}/tests", *session.posargs)


@nox.session
def umbrella(session: nox.Session) -> None:
    """Build everything, then install all of it as a user would, and have the conversation on every store."""
    built = _build(session)
    session.install(*_group("test"), *built.values())
    _require_wheel(session, "palaver")
    session.run("pytest", "tests/test_chat.py", "tests/test_seed.py", *session.posargs)


@nox.session
def chat(session: nox.Session) -> None:
    """Talk to the bot: `nox -s chat -- --store file:.sessions`."""
    session.install(*_editable())
    session.run("palaver", "chat", *session.posargs)


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def _editable() -> list[str]:
    folders = ("core[cli]", *(folder for name, folder in MEMBERS.items() if name != "palaver-core"), ".")
    return [argument for folder in folders for argument in ("--editable", folder)]


def _build(session: nox.Session) -> dict[str, str]:
    """Build all wheels into an empty folder; return the file of each distribution."""
    folder = Path(session.create_tmp()) / "dist"
    for old in folder.glob("*"):
        old.unlink()
    session.run_install("uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder), external=True)
    return {path.name.partition("-")[0].replace("_", "-"): str(path) for path in folder.glob("*.whl")}


def _require_wheel(session: nox.Session, *modules: str) -> None:
    """Make sure that the tests import what was built, not what lies in the checkout."""
    for module in modules:
        session.run("python", "-c", f"import {module} as m; assert 'site-packages' in m.__file__, m.__file__")
