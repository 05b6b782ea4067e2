"""How many bundles may wait in Redis: about what the live workers take in two seconds.

What waits in Redis can no longer be paused there, is lost for a lease when Redis is wiped, and is stale when its claim
runs out. So the backlog stays in PostgreSQL, and the window follows what the workers were seen to take.
"""

from time import monotonic

from config.clock import Clock

AHEAD_SECONDS = 2.0
SMALLEST = 8
"""Bundles; enough to find out how fast the workers are."""
LARGEST = 400
DRAINS_SECONDS = 0.5
"""How long after a worker took a bundle it is expected to take another."""
_WEIGHT = 0.3
"""Of the newest measurement in the running mean."""
_WORTH_A_CLAIM = 0.25
"""Of the window must be free: a claim for each bundle that a worker takes would cost more than the bundle's start."""


class Window:
    """One queue's window, in bundles."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._looked_at = clock()
        self._expected = 0
        self._per_second = 0.0
        self._taken_at = self._looked_at - DRAINS_SECONDS

    @property
    def drains(self) -> bool:
        """Was a worker seen taking a moment ago? A full window that nobody takes from stays full."""
        return self._clock() - self._taken_at < DRAINS_SECONDS

    @property
    def size(self) -> int:
        """The most bundles that may wait in Redis now."""
        return int(min(LARGEST, max(SMALLEST, self._per_second * AHEAD_SECONDS)))

    def room(self, waiting: int) -> int:
        """Return how many bundles to add, given that `waiting` are in Redis; measures the workers by it."""
        now = self._clock()
        elapsed = now - self._looked_at
        if elapsed > 0:
            taken = max(0, self._expected - waiting) / elapsed
            weight = min(1.0, _WEIGHT + elapsed / 10)
            self._per_second += weight * (taken - self._per_second)
            if taken:
                self._taken_at = now
        self._looked_at, self._expected = now, waiting
        free = self.size - waiting
        return free if free >= self.size * _WORTH_A_CLAIM else 0

    def added(self, bundles: int) -> None:
        """Note what was enqueued since the last look."""
        self._expected += bundles
