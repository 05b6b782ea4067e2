"""Waiting for a server that may need long: as long as it moves, and not in silence.

A recovery after a crash takes what it takes (seconds a gigabyte, more on a busy machine), so there is no limit on
the whole. Owns when to speak and when to give up; knows nothing about servers.
"""

import sys
import time
from collections.abc import Callable

from config.embedded.errors import Stalled

_PAUSE_SECONDS = 0.05
_LOOK_EVERY_SECONDS = 1.0
_SPEAK_AFTER_SECONDS = 3.0
_SPEAK_EVERY_SECONDS = 10.0
_LEAP_SECONDS = 10.0
"""The most that one round of waiting counts for: this process may itself have been stopped for an hour."""


def say(sentence: str) -> None:
    """Tell the person at the terminal what is going on; the log may not be set up yet."""
    sys.stderr.write(f"fleet: {sentence}\n")
    sys.stderr.flush()


class Patience:
    """One wait for one thing. Call `wait()` between two tries."""

    def __init__(
        self,
        sentence: str,
        progress: Callable[[], object],
        detail: Callable[[], str] = str,
        *,
        stalled_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Wait for what `sentence` says, as long as two results of `progress` within `stalled_seconds` differ."""
        self._sentence, self._progress, self._detail = sentence, progress, detail
        self._stalled_seconds, self._clock, self._pause = stalled_seconds, clock, pause
        self._now = clock()
        self.waited_seconds = 0.0
        self._seen: object = None
        self._moved_at = 0.0
        self._look_at, self._speak_at = _LOOK_EVERY_SECONDS, _SPEAK_AFTER_SECONDS

    def wait(self) -> None:
        """Pause for a moment. Raises Stalled where nothing has moved for too long."""
        self._pause(_PAUSE_SECONDS)
        before, self._now = self._now, self._clock()
        self.waited_seconds += min(self._now - before, _LEAP_SECONDS)
        if self.waited_seconds >= self._look_at:
            self._look_at = self.waited_seconds + _LOOK_EVERY_SECONDS
            self._look()
        if self.waited_seconds >= self._speak_at:
            self._speak_at = self.waited_seconds + _SPEAK_EVERY_SECONDS
            say(f"{self._sentence} ({self.waited_seconds:.0f} s) {self._detail()}".rstrip())

    def _look(self) -> None:
        seen = self._progress()
        if seen != self._seen:
            self._seen, self._moved_at = seen, self.waited_seconds
        elif self.waited_seconds - self._moved_at >= self._stalled_seconds:
            raise Stalled(
                f"{self._sentence}: nothing moves for {self._stalled_seconds:.0f} s. {self._detail()}".rstrip()
            )
