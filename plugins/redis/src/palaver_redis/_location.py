"""Where a URL says that Redis is: one server, a socket, a cluster, or what Sentinel watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from palaver.errors import InvalidOptionError
from palaver.toolkit.options import unknown_option
from palaver.toolkit.urls import check_host, redact_url, split_query, url_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("Kind", "Location", "parse_url")

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379

_LAST_PORT: Final = 65535


class Kind(Enum):
    """How the server is reached."""

    SERVER = "server"
    SOCKET = "socket"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


_PLAIN: Final = ("redis", "valkey")
_WITH_TLS: Final = ("rediss", "valkeys")
_KINDS: Final = {
    "unix": Kind.SOCKET,
    **dict.fromkeys((*_PLAIN, *_WITH_TLS), Kind.SERVER),
    **{f"{name}+cluster": Kind.CLUSTER for name in (*_PLAIN, *_WITH_TLS)},
    **{f"{name}+sentinel": Kind.SENTINEL for name in (*_PLAIN, *_WITH_TLS)},
}


@dataclass(frozen=True)
class Location:
    """What a URL says; its options are those of a connection of redis-py."""

    kind: Kind
    shown: str
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def _truth(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


_COMMON: Final[Mapping[str, Callable[[str], Any]]] = {
    "username": str,
    "password": str,
    "client_name": str,
    "protocol": _count,
    "max_connections": _count,
    "health_check_interval": _count,
}
_TCP: Final[Mapping[str, Callable[[str], Any]]] = {"socket_keepalive": _truth}
_DATABASE: Final[Mapping[str, Callable[[str], Any]]] = {"db": _count}
_TLS: Final[Mapping[str, Callable[[str], Any]]] = {
    "ssl_keyfile": str,
    "ssl_certfile": str,
    "ssl_cert_reqs": str,
    "ssl_ca_certs": str,
    "ssl_ca_data": str,
    "ssl_check_hostname": _truth,
    "ssl_ciphers": str,
}
_SENTINEL: Final[Mapping[str, Callable[[str], Any]]] = {"sentinel_username": str, "sentinel_password": str}


def parse_url(url: str) -> Location:
    """Understand a URL.

    Raises:
        InvalidOptionError: it has no meaning, or an option in it is unknown; no secret of it is in the message.
    """
    scheme = url_scheme(url)
    if scheme not in _KINDS or "://" not in url:
        raise InvalidOptionError(f"a URL of Redis begins with {'://, '.join(_KINDS)}://", option="url")
    kind, tls = _KINDS[scheme], scheme.partition("+")[0] in _WITH_TLS
    address, query = split_query(url)
    options = _convert(query, _known_options(kind, tls=tls))
    # A password may have an @ in it: the last one is what ends it.
    credentials, _, rest = address.partition("://")[2].rpartition("@")
    options = _credentials(credentials) | options
    sentinel = {name: options.pop(name) for name in _SENTINEL if name in options}
    return Location(
        kind=kind,
        shown=redact_url(url),
        tls=tls,
        options=options,
        sentinel_options={name.removeprefix("sentinel_"): value for name, value in sentinel.items()},
        **_place(kind, rest, options),
    )


def _place(kind: Kind, rest: str, options: dict[str, Any]) -> dict[str, Any]:
    """Understand what follows the credentials: hosts and a path; puts the number of a database into `options`."""
    if kind is Kind.SOCKET:
        return {"path": _socket_path(rest)}
    hosts, _, path = rest.partition("/")
    if kind is Kind.SENTINEL:
        service, _, path = path.partition("/")
        if not service:
            raise InvalidOptionError(
                "the name of the service is missing, as in redis+sentinel://host:26379/service", option="url"
            )
        _add_database(path, options)
        return {"hosts": _parse_hosts(hosts, DEFAULT_SENTINEL_PORT), "service": unquote(service)}
    if kind is Kind.CLUSTER:
        if path.strip("0"):
            raise InvalidOptionError("a cluster has no numbered databases; leave out what follows the /", option="url")
        return {"hosts": _parse_hosts(hosts, DEFAULT_PORT)}
    if "," in hosts:
        raise InvalidOptionError(
            "several hosts are a cluster or are watched by Sentinel: redis+cluster:// or redis+sentinel://",
            option="url",
        )
    _add_database(path, options)
    return {"hosts": _parse_hosts(hosts, DEFAULT_PORT)}


def _socket_path(rest: str) -> str:
    if not rest.startswith("/"):
        raise InvalidOptionError("the path of a socket is absolute, as in unix:///run/redis.sock", option="url")
    return unquote(rest)


def _add_database(path: str, options: dict[str, Any]) -> None:
    if not path:
        return
    if "db" in options:
        raise InvalidOptionError("the database stands in the path already", option="db")
    options.update(_convert({"db": path}, _DATABASE))


def _parse_hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_parse_host(part, default_port) for part in text.split(","))


def _parse_host(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    try:
        number = _count(port) if port else default_port
    except ValueError:
        # From None: what stands there may be a part of a password.
        raise InvalidOptionError(
            "the port is not a number; percent-encode / ? # % and @ in a password", option="url"
        ) from None
    if not 0 < number <= _LAST_PORT:
        raise InvalidOptionError("there is no port of that number", option="url")
    name = unquote(host) or "localhost"
    check_host(name)
    return name, number


def _credentials(text: str) -> dict[str, Any]:
    username, _, password = text.partition(":")
    found = {"username": unquote(username), "password": unquote(password)}
    return {name: value for name, value in found.items() if value}


def _known_options(kind: Kind, *, tls: bool) -> dict[str, Callable[[str], Any]]:
    known = dict(_COMMON)
    if kind is not Kind.CLUSTER:
        known |= _DATABASE
    if kind is not Kind.SOCKET:
        known |= _TCP
    if kind is Kind.SENTINEL:
        known |= _SENTINEL
    return {**known, **_TLS} if tls else known


def _convert(query: Mapping[str, str], known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    converted = {}
    for name, text in query.items():
        if name not in known:
            raise unknown_option(name, (*known, "connect_timeout", "timeout"))
        try:
            converted[name] = known[name](text)
        except ValueError:
            wanted = "true or false" if known[name] is _truth else "a whole number"
            # Not what stands there: it may be a part of a password.
            raise InvalidOptionError(f"what stands in the URL is not {wanted}", option=name) from None
    return converted
