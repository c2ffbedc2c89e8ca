"""The driver for `file:.sessions` and `file:///var/lib/bot/sessions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from urllib.request import url2pathname

from palaver import hookimpl
from palaver.errors import InvalidOptionError
from palaver.toolkit.options import merge_options
from palaver.toolkit.urls import split_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palaver.contract.store import SessionStore

DEFAULT_PATH: Final = ".sessions"


@hookimpl
def palaver_open_store(url: str, options: Mapping[str, Any]) -> SessionStore:
    """Make the file store of a URL; its path is relative to the working directory unless it begins with a slash."""
    from palaver_file._store import FileSessionStore

    address, query = split_query(url)
    return FileSessionStore(_path_of(address), **merge_options(query, options, {"lock_timeout": float}))


def _path_of(address: str) -> str:
    path = address.partition(":")[2]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        _refuse_host(host)
        path = slash + rest
    if path.startswith("/"):
        return url2pathname(path)  # knows how the drives of Windows are written in a URL: file:///C:/bot
    return unquote(path) or DEFAULT_PATH


def _refuse_host(host: str) -> None:
    if host:
        raise InvalidOptionError(
            f"{host!r} stands where a URL has its host, and files are on this computer; "
            "write file:folder for a folder in the working directory, file:///folder for one from the root",
            option="url",
        )
