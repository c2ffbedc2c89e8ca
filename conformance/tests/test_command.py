"""The door on the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Unpack

import pytest

from palaver.contract.store import Capabilities
from palaver_conformance import targets
from palaver_conformance.runner import run_laws
from palaver_memory import MemorySessionStore

if TYPE_CHECKING:
    from pathlib import Path

    from palaver.contract.record import Record
    from palaver.contract.store import StoreOptions

STORES = """
import time

from palaver_memory import MemorySessionStore


def make(location, *, clock, namespace=""):
    return MemorySessionStore(location, clock=clock, namespace=namespace)


def fails(location, *, clock, namespace=""):
    raise ValueError("no such luck")


class Sleepy(MemorySessionStore):
    async def read(self, session_id):
        time.sleep(1e9)


class Forgetful(MemorySessionStore):
    async def destroy(self, session_id):
        await super().read(session_id)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_stores.py").write_text(STORES)
    return tmp_path


def conformance(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | ({} if path is None else {"PYTHONPATH": str(path)})
    return subprocess.run(
        [sys.executable, "-m", "palaver", "conformance", *arguments, "--profile", "smoke"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_store_url_conforms(tmp_path: Path) -> None:
    """The exit code of a store that conforms is 0, and the reports are written."""
    done = conformance("memory://", "--report", "report.json", "--report", "report.html", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "conforms" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["grade"] == "conforms"
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_a_module_that_is_only_on_the_path(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`module:make` works for a module that is nowhere installed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    done = conformance("own_stores:make", "--law", "READ-01", cwd=elsewhere, path=folder)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_law_is_shown(folder: Path) -> None:
    """The exit code of a broken law is 1, and what happened is told."""
    done = conformance("own_stores:Forgetful", "--law", "DESTROY-01", cwd=folder)

    assert done.returncode == 1
    assert "DESTROY-01 (MUST) is broken" in done.stdout
    assert "--seed 0 --law DESTROY-01" in done.stdout


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nonsense", "neither a store URL"),
        ("nowhere:make", "cannot be imported"),
        ("own_stores:nothing", "cannot be used"),
        ("own_stores:STORES", "cannot be used"),
        ("own_stores:fails", "no such luck"),
        ("redsi://x", "did you mean"),
    ],
)
def test_what_cannot_be_tried(folder: Path, target: str, told: str) -> None:
    """The exit code is 2 when there is no store, and the reason is given in a line."""
    done = conformance(target, cwd=folder)

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_blocks_for_ever_ends_in_a_verdict(folder: Path) -> None:
    """The command ends although a thread of it never does."""
    done = conformance("own_stores:Sleepy", cwd=folder)

    assert done.returncode == 1
    assert "in read" in done.stdout


def test_reports_are_combined(tmp_path: Path) -> None:
    """Several JSON reports make one page."""
    for name in ("one", "two"):
        conformance("memory://", "--law", "READ-01", "--report", f"{name}.json", cwd=tmp_path)

    done = conformance("one.json", "two.json", "--report", "both.html", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "both.html").read_text().count("<h3>") == 2


@pytest.mark.parametrize(("declared", "left"), [({"scan": True}, False), ({"clear": True}, False), ({}, True)])
def test_what_a_run_on_an_unknown_database_leaves_is_removed_or_named(
    declared: dict[str, bool], left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `clear` or `scan` nothing of the kit is there afterwards; without both the namespaces are named."""
    stored: set[str] = set()

    class Modest(MemorySessionStore):
        def __init__(self, name: str, **options: Unpack[StoreOptions]) -> None:
            super().__init__(name, **options)
            self.capabilities = Capabilities(**declared)

        async def write(self, session_id: str, record: Record) -> None:
            await super().write(session_id, record)
            stored.add(self.namespace)

    monkeypatch.setattr(targets, "open_store", lambda _, **options: Modest("unknown database", **options))
    harness = targets.store_url("unknown://host/place")

    report = run_laws(harness, profile="smoke", laws=["READ-02", "EXPIRY-06"])

    assert report.holds
    assert stored
    assert isinstance(harness, targets.LeavesBehind)
    assert bool(harness.left_behind) == left
    assert asyncio.run(_left_in("unknown database", stored)) == left


async def _left_in(name: str, namespaces: set[str]) -> bool:
    found = []
    for namespace in namespaces:
        async with MemorySessionStore(name, namespace=namespace) as store:
            found += [session_id async for session_id in store.scan()]
            await store.clear()
    return bool(found)
