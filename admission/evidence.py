"""What the outcome of a request says of the vendor itself, as apart from the message.

Owns that reading only. A vendor that refuses, whatever it refuses, works; one that cannot be reached, does not answer
or answers with an error of its own does not.
"""

from enum import Enum

from outbox.retry import LONGEST_SECONDS
from providers.base import Accepted, Later, Outcome, Unknown

_BROKEN = frozenset({"not_connected", "timeout", "connection_lost"})
"""The codes of `providers.client` for a request that got no answer."""


class Evidence(Enum):
    """What one request has shown."""

    ANSWERED = "answered"
    FAILED = "failed"
    NOTHING = "nothing"
    """It never left, or our own code failed on its answer."""


def evidence(outcome: Outcome) -> Evidence:
    """Read one outcome of a request; its others say the same of the vendor."""
    if isinstance(outcome, Accepted):
        return Evidence.ANSWERED
    if outcome.http_status is None:
        failed = isinstance(outcome, Later | Unknown) and outcome.code in _BROKEN
        return Evidence.FAILED if failed else Evidence.NOTHING
    return Evidence.FAILED if isinstance(outcome, Unknown) and outcome.http_status >= 500 else Evidence.ANSWERED


def pause_seconds(outcome: Outcome) -> float:
    """Return for how long the vendor asked the account to stay away (Retry-After); 0 where it did not ask."""
    if not isinstance(outcome, Later) or outcome.http_status is None:
        return 0.0
    return min(max(outcome.after_seconds or 0.0, 0.0), LONGEST_SECONDS)
