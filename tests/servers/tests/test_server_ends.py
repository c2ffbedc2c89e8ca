"""Servers end with the tests that have started them, whatever ends the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from palaver_test_servers.redis import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.server

ENDLESS = """
import time
from pathlib import Path

def test_endless(redis_server):
    Path("port").write_text(str(redis_server.port))
    Path("port").rename("ready")
    time.sleep(100)
"""


def port_of_killed_tests(folder: Path, how: signal.Signals) -> int:
    """Start pytest with an endless test, end it when its server runs, and return the server's port."""
    (folder / "test_endless.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"]
    process = subprocess.Popen([*command, "test_endless.py"], cwd=folder, stdout=subprocess.PIPE, text=True)
    with process:
        while not (folder / "ready").exists():
            if process.poll() is not None:
                said = process.communicate()[0]
                pytest.skip(said) if " skipped" in said else pytest.fail(said)
            time.sleep(0.05)
        process.send_signal(how)
    return int((folder / "ready").read_text())


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_killed_tests_leave_no_server(tmp_path: Path, how: str) -> None:
    """A server does not outlive the tests, also when these are killed and can do nothing about it."""
    server = RedisServer(tmp_path)
    server.port = port_of_killed_tests(tmp_path, signal.Signals[how])
    for _ in range(200):
        if not server.is_ready():
            return
        time.sleep(0.05)
    pytest.fail("the server still answers")
