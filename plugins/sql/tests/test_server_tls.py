"""Servers that talk TLS and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from palaver.contract.record import Record, new_version
from palaver.errors import StoreUnavailableError
from palaver_sql import SQLSessionStore
from palaver_test_servers.fixtures import running
from palaver_test_servers.redis import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def secure(url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a server of its own, for the client library of `url`; it vouches for itself."""
    from palaver_test_servers.mariadb import MariaDBServer
    from palaver_test_servers.postgres import PostgresServer

    (tmp_path / "server").mkdir()
    kind = MariaDBServer if url.startswith("mysql") else PostgresServer
    for server in running(lambda: kind(tmp_path / "server", certificate=make_certificate(tmp_path)).start()):
        yield server.url.replace("postgresql:", f"{url.partition(':')[0]}:")


@pytest.fixture
def another_authority(secure: str, tmp_path: Path) -> Path:
    """A certificate that has nothing to do with the server."""
    (tmp_path / "other").mkdir()
    return make_certificate(tmp_path / "other")


def options(url: str, certificate: Path) -> dict[str, Any]:
    if url.startswith("mysql"):
        return {"ssl_ca": str(certificate)}
    return {"sslmode": "verify-full", "sslrootcert": str(certificate)}


async def refusal(url: str, **query: Any) -> str:
    """Return what the error says when a store cannot be opened."""
    parsed = make_url(url).update_query_dict(query)
    with pytest.raises(StoreUnavailableError) as caught:
        await SQLSessionStore(parsed).init()
    assert "127.0.0.1" in str(caught.value)
    assert "p@ss" not in f"{caught.value} {caught.value.__cause__}"
    return str(caught.value)


async def test_tls(secure: str, tmp_path: Path, another_authority: Path) -> None:
    """With the right certificate authority sessions are kept; with another one, or without TLS, the error says so."""
    certificate = tmp_path / "certificate.pem"
    record = Record(b"{}", new_version(), None)
    async with SQLSessionStore(make_url(secure).update_query_dict(options(secure, certificate))) as store:
        await store.write("a", record)
        assert await store.read("a") == record
    assert "certificate" in (await refusal(secure, **options(secure, another_authority))).lower()
    said = await refusal(secure, **({} if secure.startswith("mysql") else {"sslmode": "disable"}))
    assert "TLS" in said or "no encryption" in said
