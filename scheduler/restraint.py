"""How often a channel is claimed when its claims are dear.

A claim passes over every message that a pause holds, in the order in which they are due: with a hundred thousand held
it takes a large part of a second, also when it brings back a handful. So a slow claim that did not come back full is
followed by a rest, and the search costs the database at most a fifth of one connection. What is new waits as long.
"""

from time import monotonic

from config.clock import Clock

SLOW_SECONDS = 0.1
"""A claim that passes over nothing takes a few milliseconds, and some more on a busy machine."""
REST_PER_SECOND = 4.0
"""Seconds of rest after each second of claiming."""
LONGEST_REST_SECONDS = 2.0
"""Also where a claim was slow for another reason, such as a busy disk."""


class Restraint:
    """One channel's."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._rests_until = clock()

    @property
    def rests(self) -> bool:
        """Is it too early for another claim?"""
        return self._clock() < self._rests_until

    def claimed(self, seconds: float, *, full: bool) -> None:
        """Note how long a claim took; a full one is followed by the next at once, for it was worth its price."""
        if seconds > SLOW_SECONDS and not full:
            self._rests_until = self._clock() + min(LONGEST_REST_SECONDS, seconds * REST_PER_SECOND)
