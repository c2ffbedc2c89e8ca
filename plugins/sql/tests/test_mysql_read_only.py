"""MySQL and MariaDB that are read-only, as a replica is."""

from __future__ import annotations

from typing import Any

import pytest
from plugins.sql.tests.conftest import ask
from sqlalchemy import make_url

from palaver.contract.record import Record, new_version
from palaver.errors import StoreUnavailableError
from palaver_sql import SQLSessionStore


async def test_read_only(url: str, own_server: Any) -> None:
    """A server that does not write says so; reading goes on, and writing once it may."""
    record = Record(b"{}", new_version(), None)
    await ask(
        own_server.url,
        "CREATE USER palaver_guest IDENTIFIED BY 'gu3st-secret'",
        "GRANT ALL ON palaver.* TO palaver_guest",
    )
    guest = make_url(own_server.url).set(username="palaver_guest", password="gu3st-secret")
    async with SQLSessionStore(guest) as store:
        await store.write("a", record)
        await ask(own_server.url, "SET GLOBAL read_only = ON")
        for call in (store.write("a", record), store.swap("a", record, "x"), store.destroy("a"), store.purge()):
            with pytest.raises(StoreUnavailableError, match="it is read-only"):
                await call
        assert await store.read("a") == record
        await ask(own_server.url, "SET GLOBAL read_only = OFF")
        await store.destroy("a")
        assert await store.read("a") is None
