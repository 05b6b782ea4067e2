"""How a send can end, in words that all vendors share, and which of them a kind of send can have.

A send's end is drawn once, when it is accepted; look-ups show it and callbacks tell of it. Refuses vendors' words:
each vendor's module has its table from an end to its own.
"""

from collections.abc import Mapping
from enum import StrEnum


class End(StrEnum):
    """What really becomes of a send."""

    DELIVERED = "delivered"
    """It arrives; a call takes place."""
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    """It arrives, and the recipient wants no more: one click at a mail, STOP to a text message."""
    COMPLAINED = "complained"
    """It arrives, and the recipient calls it spam."""
    BOUNCED = "bounced"
    """The address takes nothing at all."""
    SOFT_BOUNCED = "soft_bounced"
    """The address did not take it this time."""
    SUPPRESSED = "suppressed"
    """The vendor itself does not contact the recipient."""
    UNDELIVERED = "undelivered"
    """It does not arrive, and the address is not to blame; a call fails."""
    NO_ANSWER = "no_answer"
    """Nobody takes the call."""
    SCHEDULED = "scheduled"
    """The vendor waits for its time, which never comes here."""


SHARES: Mapping[str, tuple[End, ...]] = {
    "email": (
        End.OPENED,
        End.CLICKED,
        End.UNSUBSCRIBED,
        End.COMPLAINED,
        End.BOUNCED,
        End.SOFT_BOUNCED,
        End.SUPPRESSED,
        End.UNDELIVERED,
    ),
    "message": (End.UNSUBSCRIBED, End.BOUNCED, End.SOFT_BOUNCED, End.UNDELIVERED),
    "call": (End.NO_ANSWER, End.UNDELIVERED),
}
"""By kind of send: the ends whose share can be ordered; what no share takes is delivered."""


def end_of(kind: str, shares: Mapping[str, float], drawn: float) -> End:
    """Return the end of a send of this kind for a number drawn between 0 and 1."""
    for end in SHARES[kind]:
        drawn -= shares.get(end, 0.0)
        if drawn < 0:
            return end
    return End.DELIVERED
