"""The window follows what the workers take."""

from scheduler.window import DRAINS_SECONDS, LARGEST, SMALLEST, Window


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_begins_small() -> None:
    assert Window(Clock()).room(0) == SMALLEST


def test_it_never_asks_for_more_than_fits() -> None:
    window = Window(Clock())
    assert window.room(SMALLEST + 5) == 0


def test_it_grows_with_fast_workers_and_shrinks_when_they_stop() -> None:
    clock = Clock()
    window = Window(clock)
    for _ in range(100):
        window.added(window.room(0))
        clock.now += 0.1
    assert window.size > 10 * SMALLEST
    stuck = window.size
    for _ in range(200):
        window.room(stuck)
        clock.now += 0.1
    assert window.size == SMALLEST


def test_a_claim_waits_until_a_quarter_of_the_window_is_free() -> None:
    window = Window(Clock())
    quarter = SMALLEST // 4
    assert window.room(SMALLEST - quarter + 1) == 0
    assert window.room(SMALLEST - quarter) == quarter


def test_it_is_bounded() -> None:
    clock = Clock()
    window = Window(clock)
    for _ in range(50):
        window.added(1_000_000)
        clock.now += 0.1
        window.room(0)
    assert window.size == LARGEST


def test_bundles_of_another_relay_are_no_negative_speed() -> None:
    clock = Clock()
    window = Window(clock)
    clock.now += 1
    assert window.room(500) == 0
    assert window.size == SMALLEST


def test_it_drains_for_a_moment_after_a_worker_took_a_bundle() -> None:
    clock = Clock()
    window = Window(clock)
    window.added(window.room(0))
    seen = [window.drains]
    for waiting, seconds in ((SMALLEST, 0.1), (SMALLEST - 1, 0.1), (SMALLEST - 1, 2 * DRAINS_SECONDS)):
        clock.now += seconds
        window.room(waiting)
        seen.append(window.drains)
    assert seen == [False, False, True, False]
