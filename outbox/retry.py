"""When a message is tried again: exponential, with full jitter, capped. Pure arithmetic.

Refuses to decide whether it may be tried again; that follows from the outcome and the budget.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from config.channels import CHANNELS, Channel
from config.settings import Settings

LONGEST_SECONDS = 24 * 3600.0
"""No vendor is believed that asks for a longer wait."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before another try."""

    base_seconds: float
    cap_seconds: float

    def delay_seconds(
        self, counted: int, *, asked_seconds: float | None = None, rand: Callable[[], float] = random.random
    ) -> float:
        """Return the wait before the next attempt after `counted` ones (at least one).

        Full jitter: anything between zero and the exponential bound, so that a thousand messages refused in one
        moment do not come back in one. `asked_seconds` is the vendor's own Retry-After: never sooner than that.
        """
        bound = min(self.cap_seconds, self.base_seconds * 2.0 ** min(counted - 1, 60))
        asked = min(max(asked_seconds or 0.0, 0.0), LONGEST_SECONDS)
        return asked + rand() * bound

    def capacity_delay_seconds(
        self, asked_seconds: float | None, *, rand: Callable[[], float] = random.random
    ) -> float:
        """Return the wait where only capacity was wanting, which spends no attempt.

        Never sooner than the vendor asked, and spread over up to as long again, at least over a second.
        """
        if asked_seconds is None:
            return self.delay_seconds(1, rand=rand)
        asked = min(max(asked_seconds, 0.0), LONGEST_SECONDS)
        return asked + rand() * min(self.base_seconds, max(1.0, asked))


@dataclass(frozen=True, slots=True)
class Policy(Backoff):
    """How often one channel's messages are tried, and how long they wait in between."""

    max_attempts: int

    @classmethod
    def of(cls, channel: Channel, settings: Settings) -> "Policy":
        """Return the channel's policy, with what the environment overrides."""
        facts = CHANNELS[channel]
        base = facts.retry_base_seconds if settings.retry_base_seconds is None else settings.retry_base_seconds
        tries = facts.max_attempts if settings.retry_max_attempts is None else settings.retry_max_attempts
        return cls(base, max(base, facts.retry_cap_seconds), tries)

    def exhausted(self, counted: int) -> bool:
        """Tell whether `counted` attempts use the budget up."""
        return counted >= self.max_attempts
