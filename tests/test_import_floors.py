"""The architecture, as imports show it: a floor imports only from the floors below."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent

FLOORS: Final = (
    {"errors", "clock"},
    {"record", "due", "session_ids", "json_state", "codec", "merge", "urls", "lifecycle", "cancellation", "threads"},
    {"store", "batches"},
    {"hookspecs", "drivers"},
    {"turn_queue", "round_trips", "changes", "session", "snapshot", "keep_alive", "turn", "sessions"},
    {"context", "bot", "console", "terminal", "nickname", "cli", "__main__"},
)
FLOOR_OF: Final = {module: number for number, floor in enumerate(FLOORS) for module in floor}

# What an import costs a bot author who has installed only some plugins.
ALLOWED_IN_PLUGINS: Final = {
    "memory": {"palaver", "palaver_memory"},
    "file": {"palaver", "palaver_file", "filelock", "msgspec"},
    "sql": {"palaver", "palaver_sql", "sqlalchemy"},
    "redis": {"palaver", "palaver_redis", "redis", "hiredis"},
    "mongo": {"palaver", "palaver_mongo", "pymongo", "bson"},
}


def imported(source: Path) -> set[str]:
    """All modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


CORE: Final = sorted((ROOT / "core/src/palaver").glob("*.py"))


def test_every_module_of_the_core_has_its_floor() -> None:
    """A new module has to say where it belongs."""
    assert {source.stem for source in CORE} - {"__init__"} == set(FLOOR_OF)


@pytest.mark.parametrize("source", [source for source in CORE if source.stem != "__init__"], ids=lambda path: path.stem)
def test_the_core_imports_only_downwards(source: Path) -> None:
    """Or sideways, within a floor."""
    own = {name.split(".")[1] for name in imported(source) if name.startswith("palaver.")}

    assert {module for module in own & set(FLOOR_OF) if FLOOR_OF[module] > FLOOR_OF[source.stem]} == set()


@pytest.mark.parametrize("medium", sorted(ALLOWED_IN_PLUGINS))
def test_a_plugin_imports_the_core_and_its_own_client_library(medium: str) -> None:
    """Never another plugin, and never the engine."""
    for source in (ROOT / "plugins" / medium / "src").rglob("*.py"):
        names = imported(source)
        foreign = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
        engine = {name for name in names if name.startswith("palaver.") and FLOOR_OF.get(name.split(".")[1], 0) > 3}

        assert foreign <= ALLOWED_IN_PLUGINS[medium], source
        assert engine == set(), source


@pytest.mark.parametrize("medium", sorted(ALLOWED_IN_PLUGINS))
def test_every_plugin_has_the_same_rooms(medium: str) -> None:
    """Someone who knows one knows them all."""
    package = ROOT / "plugins" / medium / "src" / f"palaver_{medium}"
    plugin = (package / "_plugin.py").read_text(encoding="utf-8")

    assert {"__init__.py", "_plugin.py", "_store.py", "py.typed"} <= {path.name for path in package.iterdir()}
    assert "@hookimpl\ndef palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:" in plugin
    assert "\nfrom palaver_" not in plugin, "the store is imported inside the hook"


def test_the_kit_imports_the_contract_and_nothing_of_the_engine_or_a_plugin() -> None:
    """So that it can judge them; only what turns a store URL into a store finds drivers."""
    package = ROOT / "conformance/src/palaver_conformance"
    for source in package.rglob("*.py"):
        names = {name.partition(".")[0] for name in imported(source)}
        floors = {FLOOR_OF.get(name.split(".")[1], 0) for name in imported(source) if name.startswith("palaver.")}

        assert not {name for name in names if name.startswith("palaver_")} - {"palaver_conformance"}, source
        assert max(floors, default=0) <= (3 if source.name == "targets.py" else 2), source
