"""First in, first out, and nothing left behind."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import NestedTurnError, SessionBusyError, StoreUnavailableError, TurnDeadlockError
from palaver.engine.turn_queue import TurnQueue


async def test_turns_of_one_session_run_in_order_of_arrival() -> None:
    """A newcomer never slips in before those who wait."""
    queue, order = TurnQueue(), []

    async def turn(number: int) -> None:
        await queue.enter("a")
        order.append(number)
        await asyncio.sleep(0)
        queue.leave("a")

    tasks = [asyncio.create_task(turn(number)) for number in range(10)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(turn(number)) for number in range(10, 15)]
    await asyncio.gather(*tasks)

    assert order == list(range(15))
    assert len(queue) == 0


async def test_turns_of_different_sessions_run_together() -> None:
    """A session that takes long keeps nobody else waiting."""
    queue = TurnQueue()
    await queue.enter("slow")

    await asyncio.wait_for(asyncio.create_task(queue.enter("quick")), timeout=5)

    assert len(queue) == 2


async def test_a_turn_inside_itself_is_refused() -> None:
    """Instead of waiting for itself for ever, the task gets an error."""
    queue = TurnQueue()
    await queue.enter("a")

    with pytest.raises(NestedTurnError, match="'a'"):
        await queue.enter("a")


async def test_the_line_moves_on_when_one_is_cancelled_in_the_moment_of_its_turn() -> None:
    """Who is handed the turn and cancelled before running hands it on."""
    queue = TurnQueue()
    await queue.enter("a")
    unlucky = asyncio.create_task(queue.enter("a"))
    patient = asyncio.create_task(queue.enter("a"))
    await asyncio.sleep(0)

    queue.leave("a")
    unlucky.cancel()
    await asyncio.wait_for(patient, timeout=5)

    assert unlucky.cancelled()
    queue.leave("a")
    assert len(queue) == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 4)), max_size=20))
def test_whatever_is_cancelled_nothing_leaks_and_nobody_overlaps(turns: list[tuple[int, bool, int]]) -> None:
    """With turns cancelled at any point, each session has one turn at a time, and in the end no line is left."""

    async def scenario() -> None:
        queue = TurnQueue()
        running: set[int] = set()

        async def turn(session: int) -> None:
            await queue.enter(str(session))
            assert session not in running
            running.add(session)
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                running.remove(session)
                queue.leave(str(session))

        tasks = []
        for session, cancelled, pauses in turns:
            task = asyncio.create_task(turn(session))
            tasks.append(task)
            for _ in range(pauses):
                await asyncio.sleep(0)
            if cancelled:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert len(queue) == 0

    asyncio.run(scenario())


async def test_those_who_wait_may_share_a_failure() -> None:
    """Each gets an error of its own, and one that is cancelled in that moment leaves the line whole."""
    queue = TurnQueue()
    await queue.enter("a")
    waiting = [asyncio.create_task(queue.enter("a")) for _ in range(3)]
    await asyncio.sleep(0)

    error = StoreUnavailableError("nobody answers")
    queue.fail_waiting("a", error)
    waiting[2].cancel()
    queue.leave("a")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [
        StoreUnavailableError,
        StoreUnavailableError,
        asyncio.CancelledError,
    ]
    assert outcomes[0] is not outcomes[1]
    assert queue.enter_at_once("a")


async def test_a_wait_has_an_end() -> None:
    """Whoever has waited long enough is told that the session is busy, and those behind move up."""
    queue = TurnQueue()
    await queue.enter("a")
    hasty, patient = (asyncio.create_task(_enter_and_leave(queue, "a", seconds)) for seconds in (0, None))

    with pytest.raises(SessionBusyError, match="'a' is busy: its turn could not begin within 0 seconds") as caught:
        await hasty
    assert caught.value.retryable
    queue.leave("a")
    await patient

    await _enter_and_leave(queue, "a", 0)
    assert len(queue) == 0


async def test_a_circle_of_waits_is_refused_when_it_closes() -> None:
    """The one who would close it is told which task waits for what; the others go on when it has left."""
    queue, order = TurnQueue(), []

    async def two(first: str, second: str) -> None:
        await queue.enter(first)
        try:
            await asyncio.sleep(0)
            await queue.enter(second)
            order.append(second)
            queue.leave(second)
        finally:
            queue.leave(first)

    names = {"one": ("x", "y"), "two": ("y", "z"), "three": ("z", "x")}
    tasks = [asyncio.create_task(two(*pair), name=name) for name, pair in names.items()]
    errors = await asyncio.gather(*tasks, return_exceptions=True)

    assert errors[:2] == [None, None]
    [error] = [error for error in errors if isinstance(error, TurnDeadlockError)]
    assert error.circle == (("three", "x"), ("one", "y"), ("two", "z"))
    assert "task 'one' waits for 'y'" in str(error)
    assert order == ["z", "y"]
    assert len(queue) == 0


async def test_a_long_way_without_a_circle_is_waited_for() -> None:
    """Many who wait for each other in a row are no deadlock, whatever the order of their coming."""
    queue, ended = TurnQueue(), []

    async def both(number: int) -> None:
        await queue.enter(f"{number}")
        await asyncio.sleep(0)
        await _enter_and_leave(queue, f"{number + 1}")
        ended.append(number)
        queue.leave(f"{number}")

    await asyncio.gather(*map(both, range(10)))

    assert sorted(ended) == list(range(10))
    assert len(queue) == 0


async def _enter_and_leave(queue: TurnQueue, session_id: str, seconds: float | None = None) -> None:
    await queue.enter(session_id, seconds)
    queue.leave(session_id)


async def test_a_long_wait_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With who has the turn; a short one is not."""
    queue = TurnQueue(long_wait=0)
    await queue.enter("a")
    asyncio.current_task().set_name("holder")  # type: ignore[union-attr]
    patient = asyncio.create_task(_enter_and_leave(queue, "a"))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0, queue.leave, "a")
    await patient
    await asyncio.gather(*(_enter_and_leave(queue, "b") for _ in range(3)))

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("a turn of session 'a' has waited for 0 s: task 'holder' has had it for 0.")


async def test_draining_waits_for_all_turns_but_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Those that run, and those that wait for them; nobody is cancelled."""
    queue, may_end, ended = TurnQueue(), asyncio.Event(), []

    async def turn(session_id: str) -> None:
        await queue.enter(session_id)
        await may_end.wait()
        ended.append(session_id)
        queue.leave(session_id)

    await queue.enter("own")
    tasks = [asyncio.create_task(turn(session_id)) for session_id in "aab"]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(may_end.set)
    await queue.drain(60)

    assert sorted(ended) == ["a", "a", "b"]
    assert all(task.done() for task in tasks)
    assert caplog.records == []


async def test_draining_cancels_what_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """Those that run and those that wait, and the log names them."""
    queue = TurnQueue()

    async def endless() -> None:
        await queue.enter("a")
        try:
            await asyncio.Event().wait()
        finally:
            queue.leave("a")

    tasks = [asyncio.create_task(endless(), name=name) for name in ("one", "two")]
    await asyncio.sleep(0)
    await queue.drain(0)

    assert len(queue) == 0
    assert [task.cancelling() for task in tasks] == [1, 1]
    assert "2 turns did not end within 0 s and are cancelled: 'a' (task 'one'), 'a' (task 'two')" in caplog.text
    await asyncio.wait(tasks)
