"""Claims that search long bring less load than they could."""

import pytest

from scheduler.restraint import LONGEST_REST_SECONDS, REST_PER_SECOND, SLOW_SECONDS, Restraint


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_quick_or_full_is_done_again_at_once() -> None:
    restraint = Restraint(Clock())
    assert not restraint.rests
    restraint.claimed(SLOW_SECONDS, full=False)
    assert not restraint.rests
    restraint.claimed(10.0, full=True)
    assert not restraint.rests


@pytest.mark.parametrize(("took", "rest"), [(0.2, 0.2 * REST_PER_SECOND), (30.0, LONGEST_REST_SECONDS)])
def test_what_is_slow_rests_in_proportion_and_not_for_ever(took: float, rest: float) -> None:
    clock = Clock()
    restraint = Restraint(clock)
    restraint.claimed(took, full=False)
    clock.now = rest * 0.99
    assert restraint.rests
    clock.now = rest
    assert not restraint.rests
