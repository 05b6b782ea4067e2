"""A vendor's rate limit, where one was ordered: a token bucket for each account.

Refuses to answer requests: the vendor's module knows which status, body and headers a refusal has.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests a second an account may make, and how many at once after a pause."""

    rate_per_second: float
    burst: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read `RATE[:BURST]`; without a burst it is one second's worth. Raises ValueError."""
        rate_text, colon, burst_text = text.partition(":")
        rate = float(rate_text)
        if not 0 < rate < math.inf:
            raise ValueError("a rate is above 0")
        burst = int(burst_text) if colon else math.ceil(rate)
        if burst < 1:
            raise ValueError("a burst is at least 1")
        return cls(rate, burst)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the bucket says of one request, in the words of the usual headers."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Until the bucket is full again."""
    retry_after_seconds: int
    """Until the next request is allowed; at least 1."""


class Buckets:
    """The buckets of one vendor, filled as time goes by."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}

    def take(self, account: str) -> Verdict:
        """Take one token of `account` if there is one."""
        limit, now = self._limit, self._clock()
        tokens, since = self._tokens.get(account, (float(limit.burst), now))
        tokens = min(limit.burst, tokens + (now - since) * limit.rate_per_second)
        allowed = tokens >= 1
        if allowed:
            tokens -= 1
        self._tokens[account] = (tokens, now)
        return Verdict(
            allowed=allowed,
            limit=limit.burst,
            remaining=int(tokens),
            reset_seconds=math.ceil((limit.burst - tokens) / limit.rate_per_second),
            retry_after_seconds=max(1, math.ceil((1 - tokens) / limit.rate_per_second)),
        )
