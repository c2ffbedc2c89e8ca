"""The public face: every module says what it offers, and the package gathers it."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from importlib import metadata

import pytest

import palaver
from palaver import errors

MODULES = [
    module.name
    for module in pkgutil.walk_packages(palaver.__path__, "palaver.")
    if not module.ispkg and "__main__" not in module.name
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_what_it_offers(name: str) -> None:
    """`__all__` is a sorted tuple of names that are there."""
    module = importlib.import_module(name)

    assert isinstance(module.__all__, tuple)
    assert all(hasattr(module, public) for public in module.__all__)


def test_the_package_offers_every_name_that_it_lists() -> None:
    """Those that are imported on first use, too, and nothing else is made up."""
    assert all(getattr(palaver, name) is not None for name in palaver.__all__)
    assert set(palaver.__all__) <= set(dir(palaver))
    with pytest.raises(AttributeError, match="no attribute 'Sesions'"):
        _ = palaver.Sesions


def test_the_package_knows_its_version() -> None:
    """That of the distribution, looked up when somebody asks."""
    assert palaver.__version__ == metadata.version("palaver-core")
    assert "__version__" in dir(palaver)
    assert "__version__" not in vars(palaver)


def test_the_package_offers_every_error() -> None:
    """Whatever may be raised can be caught by its public name."""
    assert set(errors.__all__) <= set(palaver.__all__)


def test_importing_the_contract_does_not_import_asyncio() -> None:
    """A driver's metadata, the contract and the errors cost little; what needs the event loop comes when it is used."""
    code = "import sys, palaver; print(sorted({'asyncio', 'click', 'prompt_toolkit'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_session_shows_what_is_for_bot_authors() -> None:
    """What the engine does with it is somewhere else."""
    shown = {name for name in dir(palaver.Session) if not name.startswith("_")}

    assert shown == {
        "created",
        "destroy",
        "id",
        "last_activity",
        "platform",
        "reset_state",
        "set_state",
        "state",
    }
