"""The architecture, as imports show it: rooms in an order, no circle, and what a driver may rely on."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parent.parent
CORE: Final = ROOT / "core/src/palaver"
KIT: Final = ROOT / "conformance/src/palaver_conformance"

# A room imports only from itself and from those before it.
CORE_ROOMS: Final = ("errors", "contract", "toolkit", "discovery", "state", "engine", "bot", "cli", "__main__")
KIT_ROOMS: Final = (
    "harness", "profiles", "ground", "histories", "instruments", "model", "laws", "report", "runner", "targets",
    "check", "suite", "command", "saboteurs", "new_driver",
)  # fmt: skip

# What the authors of drivers may rely on, and ours do: nothing else keeps its place.
FOR_DRIVERS: Final = ("palaver", "palaver.errors", "palaver.contract", "palaver.toolkit")

# What an import costs a bot author who has installed only some plugins.
ALLOWED_IN_PLUGINS: Final = {
    "memory": {"palaver", "palaver_memory"},
    "file": {"palaver", "palaver_file", "filelock", "msgspec"},
    "sql": {"palaver", "palaver_sql", "sqlalchemy"},
    "redis": {"palaver", "palaver_redis", "redis", "hiredis"},
    "mongo": {"palaver", "palaver_mongo", "pymongo", "bson", "msgspec"},
}

MOST_MODULES: Final = 15
"""In one folder: more than a newcomer takes in at a glance."""

# One module a family: there the list is the map.
LISTS: Final = {KIT / "laws", KIT / "saboteurs"}

SOURCES: Final = sorted(
    source
    for folder in ("core", "plugins", "conformance", "tests/servers")
    for source in (ROOT / folder).rglob("src/**/*.py")
)


class Import(NamedTuple):
    """One name that a file imports, and where."""

    name: str
    line: int


def imports(source: Path) -> Iterator[Import]:
    """Find all imports of a file, those for types and those inside functions, too."""
    # What is still to be filled in, in a template, stands for a name.
    code = re.sub(r"\$\{(\w+)\}", r"\1", source.read_text(encoding="utf-8"))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def module_of(source: Path) -> str:
    """Name the module of a file under some `src`."""
    parts = source.with_suffix("").parts
    own = parts[len(parts) - parts[::-1].index("src") :]
    return ".".join(own).removesuffix(".__init__")


MODULES: Final = {module_of(source): source for source in SOURCES}


def imported_module(name: str) -> str | None:
    """Name the module of ours that an imported name is, or is in."""
    return name if name in MODULES else next((each for each in [name.rpartition(".")[0]] if each in MODULES), None)


def room_of(source: Path, package: Path) -> str:
    """Name the room of a file: a folder or a module beside the package's `__init__`."""
    return Path(source.relative_to(package).parts[0]).stem


def steps_up(source: Path, package: Path, rooms: Sequence[str]) -> Iterator[str]:
    """Find the imports that go up, and say what to do about each."""
    own = room_of(source, package)
    for each in imports(source):
        target = imported_module(each.name)
        if target is None or not target.startswith(f"{package.name}."):
            continue
        other = target.split(".")[1]
        if rooms.index(other) > rooms.index(own):
            yield (
                f"{source.relative_to(ROOT)}:{each.line} imports {each.name}; {own!r} may import only from itself and "
                f"from {', '.join(rooms[: rooms.index(own)]) or 'nothing'}. Move what needs it to {other!r}, or what "
                f"is needed to {own!r} or before it."
            )


@pytest.mark.parametrize(("package", "rooms"), [(CORE, CORE_ROOMS), (KIT, KIT_ROOMS)], ids=["core", "kit"])
def test_a_room_imports_only_from_those_before_it(package: Path, rooms: Sequence[str]) -> None:
    """What is deep in the house knows nothing of what is built upon it; a new room has to say where it stands."""
    sources = [source for source in sorted(package.rglob("*.py")) if source != package / "__init__.py"]

    assert {room_of(source, package) for source in sources} == set(rooms)
    assert [fault for source in sources for fault in steps_up(source, package, rooms)] == []


def test_no_import_goes_in_a_circle() -> None:
    """Anywhere, imports for types included: what depends on each other belongs together, or apart."""
    graph = {
        module: {target for each in imports(source) if (target := imported_module(each.name)) not in {None, module}}
        for module, source in MODULES.items()
    }
    # A package's __init__ is what is imported from outside; what is inside it does not count as its client.
    graph = {
        module: {each for each in targets if not module.startswith(f"{each}.")} for module, targets in graph.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize(
    "package", [CORE, KIT, *sorted((ROOT / "plugins").glob("*/src/*"))], ids=lambda path: path.name
)
def test_a_folder_can_be_taken_in_at_a_glance(package: Path) -> None:
    """Fifteen modules at most, but where the modules are a list."""
    for folder in {source.parent for source in package.rglob("*.py")} - LISTS:
        assert len([source for source in folder.glob("*.py") if source.stem != "__init__"]) <= MOST_MODULES, folder


@pytest.mark.parametrize("package", [CORE, KIT], ids=["core", "kit"])
def test_every_room_says_what_is_in_it(package: Path) -> None:
    """In its docstring: what it holds, and what it may import."""
    for room in sorted(path.parent for path in package.glob("*/__init__.py")):
        said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert said.count(".") >= 2, room


def driver_sources() -> Iterator[Path]:
    """Find the code of all drivers: ours, the example, and what `palaver new-driver` writes."""
    yield from (ROOT / "plugins").glob("*/src/**/*.py")
    yield from (ROOT / "examples").glob("*/src/**/*.py")
    yield from (KIT / "new_driver/templates").glob("_*.py.txt")


@pytest.mark.parametrize("source", list(driver_sources()), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_driver_relies_on_what_keeps_its_place(source: Path) -> None:
    """On the names of `palaver`, on `palaver.errors`, `palaver.contract` and `palaver.toolkit`."""
    used = {imported_module(each.name) for each in imports(source)}
    core = {module for module in used if module is not None and module.partition(".")[0] == "palaver"}

    assert {module for module in core if not _is_in(module, FOR_DRIVERS)} == set()


def _is_in(module: str, rooms: Sequence[str]) -> bool:
    return module == rooms[0] or any(module == room or module.startswith(f"{room}.") for room in rooms[1:])


@pytest.mark.parametrize("medium", sorted(ALLOWED_IN_PLUGINS))
def test_a_plugin_imports_the_core_and_its_own_client_library(medium: str) -> None:
    """Never another plugin."""
    for source in (ROOT / "plugins" / medium / "src").rglob("*.py"):
        foreign = {each.name.partition(".")[0] for each in imports(source)} - set(sys.stdlib_module_names)

        assert foreign <= ALLOWED_IN_PLUGINS[medium], source


@pytest.mark.parametrize("medium", sorted(ALLOWED_IN_PLUGINS))
def test_every_plugin_has_the_same_rooms(medium: str) -> None:
    """Someone who knows one knows them all."""
    package = ROOT / "plugins" / medium / "src" / f"palaver_{medium}"
    plugin = (package / "_plugin.py").read_text(encoding="utf-8")

    assert {"__init__.py", "_plugin.py", "_store.py", "py.typed"} <= {path.name for path in package.iterdir()}
    assert "@hookimpl\ndef palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:" in plugin
    assert "\nfrom palaver_" not in plugin, "the store is imported inside the hook"


def test_the_kit_imports_what_drivers_rely_on_and_no_plugin() -> None:
    """So that it can judge them; only what turns a store URL into a store finds drivers."""
    for source in KIT.rglob("*.py"):
        used = {each.name for each in imports(source)}
        core = {module for name in used if (module := imported_module(name)) and module.partition(".")[0] == "palaver"}
        elsewhere = {module for module in core if not _is_in(module, FOR_DRIVERS)}

        assert {name.partition(".")[0] for name in used if name.startswith("palaver_")} <= {KIT.name}, source
        assert elsewhere <= ({"palaver.discovery.drivers"} if source.name == "targets.py" else set()), source
