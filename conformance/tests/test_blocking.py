"""Seeing that something keeps the event loop from going on."""

from __future__ import annotations

import asyncio
import select
import time

from palaver_conformance.instruments.blocking import _Moment, longest_stall


async def _busy() -> None:
    await asyncio.sleep(0)
    until = time.thread_time() + 0.03
    while time.thread_time() < until:
        pass
    await asyncio.sleep(0)


async def _waiting() -> None:
    await asyncio.sleep(0)
    select.select([], [], [], 0.03)
    await asyncio.sleep(0)


async def test_work_that_computes() -> None:
    """Work that computes for long without a pause is seen."""
    assert await longest_stall(_busy()) >= 0.03


async def test_work_that_waits() -> None:
    """Work that waits for something on the event loop is seen."""
    assert await longest_stall(_waiting()) >= 0.03


def test_no_processor() -> None:
    """A thread that has to wait for the processor has not kept the event loop from going on."""
    begin = _Moment(wall=10.0, processor=1.0, waits=5)
    assert _Moment(wall=11.0, processor=1.25, waits=5).since(begin) == 0.25
    assert _Moment(wall=11.0, processor=1.25, waits=6).since(begin) == 1.0


def test_system_that_does_not_tell() -> None:
    """Where a system does not tell why a thread had no processor, all that takes time counts."""
    assert _Moment(wall=11.0, processor=1.25, waits=-1).since(_Moment(wall=10.0, processor=1.0, waits=-1)) == 1.0
