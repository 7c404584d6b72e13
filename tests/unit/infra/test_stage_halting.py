"""When a worker stops rather than drain its topic."""

import pytest

from manyheads.infra.stage.halting import FailureWindow, HaltPolicy
from manyheads.topics.errors import ErrorCode, InternalError

SYSTEMIC = ErrorCode.MALFORMED_MESSAGE
ONE_SENDERS_MISTAKE = ErrorCode.TEXT_EMPTY


def test_it_halts_when_the_share_is_reached_and_not_before() -> None:
    window = FailureWindow(HaltPolicy(window=20, minimum=10, share=0.9))
    window.add(None)
    for _ in range(8):
        window.add(SYSTEMIC)
    with pytest.raises(InternalError) as halted:
        window.add(SYSTEMIC)
    assert halted.value.code is ErrorCode.WORKER_HALTED
    assert halted.value.details == {"failures": 9, "records": 10, "code": "malformed_message"}


def test_mistakes_of_senders_never_halt() -> None:
    window = FailureWindow(HaltPolicy(window=10, minimum=1, share=0.1))
    for _ in range(100):
        window.add(ONE_SENDERS_MISTAKE)


def test_too_few_outcomes_say_nothing() -> None:
    window = FailureWindow(HaltPolicy(window=10, minimum=5, share=0.5))
    for _ in range(4):
        window.add(SYSTEMIC)
    with pytest.raises(InternalError):
        window.add(SYSTEMIC)


def test_old_outcomes_leave_the_window() -> None:
    window = FailureWindow(HaltPolicy(window=4, minimum=4, share=1.0))
    for _ in range(50):
        for code in (None, SYSTEMIC, SYSTEMIC, SYSTEMIC):
            window.add(code)
    with pytest.raises(InternalError):
        window.add(SYSTEMIC)


def test_a_run_ends_with_anything_that_is_not_systemic() -> None:
    window = FailureWindow(HaltPolicy())
    first = window.run
    window.add(SYSTEMIC)
    window.add(SYSTEMIC)
    assert window.run == first
    window.add(ONE_SENDERS_MISTAKE)
    assert window.run != first


@pytest.mark.parametrize("wrong", [{"window": 5, "minimum": 6}, {"minimum": 0}, {"share": 0.0}, {"share": 1.1}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="minimum <= window"):
        HaltPolicy(**wrong)  # type: ignore[arg-type]
