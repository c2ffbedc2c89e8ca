"""Every error: one root, facts, a message with a remedy."""

from __future__ import annotations

import pickle

import pytest

from palaver import errors
from palaver.errors import PalaverError, StoreUnavailableError, own_copy

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_all_errors_have_one_root_and_say_when_they_are_raised(error: type[PalaverError]) -> None:
    """Whoever catches the root catches all, and each class says when it is raised."""
    assert issubclass(error, PalaverError)
    assert error.__name__.endswith("Error")
    assert error is PalaverError or (error.__doc__ or "").startswith("Raised when ")


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_errors_survive_the_way_between_processes(error: type[PalaverError]) -> None:
    """An error can be pickled: what it says and the facts stay."""
    original = error("fact")
    copy = pickle.loads(pickle.dumps(original))

    assert type(copy) is error
    assert str(copy) == str(original)
    assert vars(copy) == vars(original)


def test_only_what_time_can_mend_may_be_retried() -> None:
    """A store that is away, a conflict and a session that is busy may be retried; nothing else."""
    retryable = {error.__name__ for error in ALL if error.retryable}
    assert retryable == {"StoreUnavailableError", "ConflictError", "SessionBusyError"}


def test_messages_name_the_facts() -> None:
    """The facts are in the words."""
    assert "session 'a'" in str(errors.ConflictError("a", attempts=3))
    assert "3 times" in str(errors.ConflictError("a", attempts=3))
    assert "pip install palaver-redis" in str(errors.DriverNotFoundError("redis", remedy="pip install palaver-redis"))
    assert "one, two" in str(errors.DuplicateDriverError("x", distributions=("one", "two")))
    assert "7 bytes" in str(errors.SessionTooLargeError("a", size=7, limit=5))
    assert "in /a/b is damaged: torn" in str(errors.CorruptSessionError("torn", session_id="a", location="/a/b"))


def test_an_error_that_several_callers_share_is_copied_where_it_can_be() -> None:
    """One that cannot be copied is shared, and never becomes another error."""

    class OddError(Exception):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(first + second)

    error, odd = StoreUnavailableError("no route"), OddError("a", "b")

    assert own_copy(error) is not error
    assert str(own_copy(error)) == "no route"
    assert own_copy(error).__cause__ is error
    assert own_copy(odd) is odd
