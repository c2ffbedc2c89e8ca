"""MariaDB or MySQL: one server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from palaver_test_servers.server import Server, ServerMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ("MariaDBServer", "find_mariadb")

USER: Final = "palaver"
PASSWORD: Final = "p@ss/word"
_ESCAPED: Final = "p%40ss%2Fword"
_DATABASE: Final = "palaver"
_PROGRAMS: Final = ("mariadbd", "mysqld")
_INSTALLERS: Final = ("mariadb-install-db", "mysql_install_db")

# Read by the server with each start, before it answers anybody.
_SQL: Final = f"""
CREATE DATABASE IF NOT EXISTS {_DATABASE};
CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;
"""


class MariaDBServer(Server):
    """A server of its own; what it acknowledges is on the disk, as it is by default.

    Args:
        folder: an empty folder for its data and its log.
        certificate: a PEM file with a certificate and its key; then it talks TLS, and nothing else.
        arguments: more of its command line, as in `("--max-allowed-packet=1M",)`.
    """

    def __init__(self, folder: Path, *, certificate: Path | None = None, arguments: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._certificate = certificate
        self._arguments = tuple(arguments)

    @property
    def url(self) -> str:
        return f"mysql://{USER}:{_ESCAPED}@127.0.0.1:{self.port}/{_DATABASE}"

    def command(self) -> list[str]:
        program = find_mariadb()
        tls = () if self._certificate is None else _tls_options(self._certificate)
        # The path of a socket is short, or refused: this one is in the folder of the data.
        return [
            *(program, "--no-defaults", f"--datadir={self._data}", f"--port={self.port}", *_as_this_user()),
            *("--bind-address=127.0.0.1", "--socket=mariadb.sock", "--skip-name-resolve"),
            *(f"--init-file={self.folder / 'init.sql'}", f"--pid-file={self.folder / 'pid'}"),
            *("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--performance-schema=OFF"),
            *tls,
            *self._arguments,
        ]

    def prepare(self) -> None:
        (self.folder / "init.sql").write_text(_SQL, encoding="utf-8")
        done = subprocess.run(self._installation(), check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"no data folder could be made: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def is_ready(self) -> bool:
        # The first thing that a server says, unasked, is its greeting.
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            return len(connection.recv(5)) > 4
        return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _installation(self) -> list[str]:
        data = f"--datadir={self._data}"
        installer = next(filter(None, map(shutil.which, _INSTALLERS)), None)
        if installer is None:
            return [find_mariadb(), "--no-defaults", "--initialize-insecure", data, *_as_this_user()]
        return [installer, "--no-defaults", data, "--skip-test-db", "--auth-root-authentication-method=normal"]


def find_mariadb() -> str:
    """Return the path of the server.

    Raises:
        ServerMissingError: there is none.
    """
    # Debian keeps it where only root looks.
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    for name in _PROGRAMS:
        found = shutil.which(name, path=places)
        if found is not None:
            return found
    raise ServerMissingError(
        "there is no MariaDB or MySQL: `apt-get install mariadb-server`, or put `mariadbd` or `mysqld` on the PATH; "
        "or set PALAVER_MYSQL_URL"
    )


def _as_this_user() -> list[str]:
    # The server runs as root only when it is told to.
    return ["--user=root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def _tls_options(certificate: Path) -> tuple[str, ...]:
    return f"--ssl-cert={certificate}", f"--ssl-key={certificate}", "--require-secure-transport=ON"
