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


DEADLY = """
import os, signal
import redis

def test_that_kills(redis_server):
    os.kill(redis_server._process.pid, signal.SIGKILL)
    redis_server._process.wait()

def test_after(redis_server):
    assert redis.Redis(port=redis_server.port).ping()
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
def test_a_server_that_ends_by_itself_fails_one_test(tmp_path: Path) -> None:
    """The test in which it ended says so, with the server's log; the next one finds it running."""
    (tmp_path / "test_deadly.py").write_text(DEADLY)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}"]
    environment = {key: value for key, value in os.environ.items() if key != "PALAVER_REDIS_URL"}
    done = subprocess.run(
        [*command, "test_deadly.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    if "2 skipped" in done.stdout:
        pytest.skip(done.stdout)

    assert "2 passed" in done.stdout, done.stdout
    assert "1 error" in done.stdout
    assert "RedisServer ended by itself with code -9; the end of its log:" in done.stdout
