"""What can be heard of a message after it was sent, in one vocabulary for all vendors, and what each word means.

Owns the one table from a kind of event to what it proves and whom it suppresses. Refuses to read vendors (their words
are tables in `providers/`) and to write anything (`outbox.events` does).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """`fleet.events.kind`."""

    ACCEPTED = "accepted"
    """The vendor has it; says no more than its answer to the send would have said."""
    DELAYED = "delayed"
    """The recipient's side does not take it yet; the vendor goes on trying."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """The address does not exist, or takes nothing any more."""
    SOFT_BOUNCED = "soft_bounced"
    """This time it was not taken: a full mailbox, a phone that is off."""
    COMPLAINED = "complained"
    """The recipient called it spam."""
    FAILED = "failed"
    """It will not arrive, and the address is not to blame."""
    BLOCKED = "blocked"
    """The vendor itself does not contact this recipient: its own list, a trap, an earlier STOP."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient used the link or the button."""
    STOPPED = "stopped"
    """The recipient answered STOP."""
    RESUMED = "resumed"
    """The recipient answered START."""
    RESUBSCRIBED = "resubscribed"
    """The recipient used the button that takes the unsubscribing back."""
    REPLIED = "replied"
    """The recipient wrote back."""
    CALL_ANSWERED = "call_answered"
    """Somebody, or something, picked up; `code` says which, where the vendor knows."""
    CALL_ENDED = "call_ended"
    """The call took place and is over."""
    NO_ANSWER = "no_answer"
    """Busy, or nobody picked up."""
    CALL_FAILED = "call_failed"
    CALL_RECEIVED = "call_received"
    """Somebody called us; it is no message of ours."""


class Proof(StrEnum):
    """What an event says of the attempt it is about. Each of them proves that the vendor took it."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


class Reason(StrEnum):
    """`fleet.suppressions.reason`: why an address must not be contacted."""

    BOUNCED = "bounced"
    SOFT_BOUNCED = "soft_bounced"
    COMPLAINED = "complained"
    BLOCKED = "blocked"
    STOPPED = "stopped"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What one kind of event means for its message and its recipient."""

    proves: Proof | None
    """None where it says nothing of an attempt."""
    suppresses: Reason | None = None
    releases: tuple[Reason, ...] = ()
    remains: bool = False
    """A delivered message shows it: its status stays, its `error_code` says what came afterwards."""


_ACCEPTED, _DELIVERED, _UNDELIVERED = Proof.ACCEPTED, Proof.DELIVERED, Proof.UNDELIVERED

KINDS: Mapping[Kind, KindFacts] = {
    Kind.ACCEPTED: KindFacts(_ACCEPTED),
    Kind.DELAYED: KindFacts(_ACCEPTED),
    Kind.DELIVERED: KindFacts(_DELIVERED),
    # Whoever opened it has it, whether or not the report of its delivery came.
    Kind.OPENED: KindFacts(_DELIVERED),
    Kind.CLICKED: KindFacts(_DELIVERED),
    Kind.COMPLAINED: KindFacts(_DELIVERED, suppresses=Reason.COMPLAINED, remains=True),
    Kind.BOUNCED: KindFacts(_UNDELIVERED, suppresses=Reason.BOUNCED, remains=True),
    Kind.SOFT_BOUNCED: KindFacts(_UNDELIVERED),
    Kind.FAILED: KindFacts(_UNDELIVERED),
    Kind.BLOCKED: KindFacts(_UNDELIVERED, suppresses=Reason.BLOCKED),
    Kind.CALL_ANSWERED: KindFacts(_ACCEPTED),
    Kind.CALL_ENDED: KindFacts(_DELIVERED),
    Kind.NO_ANSWER: KindFacts(_UNDELIVERED),
    Kind.CALL_FAILED: KindFacts(_UNDELIVERED),
    Kind.UNSUBSCRIBED: KindFacts(None, suppresses=Reason.UNSUBSCRIBED),
    Kind.STOPPED: KindFacts(None, suppresses=Reason.STOPPED),
    Kind.RESUMED: KindFacts(None, releases=(Reason.STOPPED, Reason.BLOCKED)),
    Kind.RESUBSCRIBED: KindFacts(None, releases=(Reason.UNSUBSCRIBED,)),
    Kind.REPLIED: KindFacts(None),
    Kind.CALL_RECEIVED: KindFacts(None),
}
"""The one table. An event whose kind proves nothing is about a recipient, not about an attempt."""
