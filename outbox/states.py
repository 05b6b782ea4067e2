"""The state machine of a message, on one screen. docs/lifecycle.md draws it and is checked against it.

Owns the words and which way they lead. The statements that walk these ways are in `outbox/sql/`; each names the
status that it expects, so a way that is not listed here cannot be walked.
"""

from enum import StrEnum


class Status(StrEnum):
    """`channel_outbox.status`."""

    SCHEDULED = "scheduled"
    """Waits for its time; a retry moves the time forward."""
    QUEUED = "queued"
    """Claimed by a relay and in Redis; nothing was sent."""
    SENDING = "sending"
    """Started: a send may have happened. Its lease is its batch's."""
    SENT = "sent"
    """A provider accepted it."""
    DELIVERED = "delivered"
    """The provider reports that it arrived."""
    FAILED = "failed"
    """Will not be delivered; `error_class` says which kind of end it was."""
    CANCELLED = "cancelled"
    """Taken back before anything was sent."""
    SUPPRESSED = "suppressed"
    """Its recipient must not be contacted."""
    UNKNOWN = "unknown"
    """Nobody can tell yet whether the provider took it."""


class ErrorClass(StrEnum):
    """`channel_outbox.error_class` of a failed message."""

    REJECTED = "rejected"
    """The vendor, or our own check before it, will never accept it as it is."""
    EXHAUSTED = "exhausted"
    """Every attempt of its budget was refused for the time being."""
    EXPIRED = "expired"
    """Its `expires_at` passed before it could go out."""
    UNDELIVERED = "undelivered"
    """Accepted, and then reported as not delivered."""


TRANSITIONS: dict[tuple[Status, Status], str] = {
    (Status.SCHEDULED, Status.QUEUED): "claim",
    (Status.SCHEDULED, Status.CANCELLED): "cancel, or a reply that stops its sequence",
    (Status.SCHEDULED, Status.FAILED): "reject_unclaimable, or an event: undelivered",
    (Status.SCHEDULED, Status.SENT): "late proof that an earlier attempt was accepted",
    (Status.SCHEDULED, Status.DELIVERED): "event: an earlier attempt was delivered",
    (Status.QUEUED, Status.SCHEDULED): "release, defer, start refused by a pause, or the lease ran out",
    (Status.QUEUED, Status.SENDING): "start",
    (
        Status.QUEUED,
        Status.FAILED,
    ): "reject, expired at its start or when put off, crashed workers, or an event: undelivered",
    (Status.QUEUED, Status.SENT): "late proof that an earlier attempt was accepted",
    (Status.QUEUED, Status.DELIVERED): "event: an earlier attempt was delivered",
    (Status.QUEUED, Status.CANCELLED): "cancel, or a reply that stops its sequence",
    (Status.QUEUED, Status.SUPPRESSED): "start refused by a suppression",
    (Status.SENDING, Status.SENT): "settle: accepted, or whatever the answer, an earlier attempt was",
    (Status.SENDING, Status.FAILED): "settle: rejected or exhausted",
    (Status.SENDING, Status.SCHEDULED): "settle: later or halted",
    (Status.SENDING, Status.UNKNOWN): "settle: unknown, or the batch's lease ran out",
    (Status.UNKNOWN, Status.SENT): "settle of a replay: accepted; resolve: in the record; late proof; a person",
    (Status.UNKNOWN, Status.DELIVERED): "event: delivered",
    (Status.UNKNOWN, Status.FAILED): "settle of a replay: rejected; resolve: no trace, budget used up; undelivered",
    (Status.UNKNOWN, Status.SCHEDULED): "resolve: not in the vendor's record; send_again, by a person",
    (Status.SENT, Status.DELIVERED): "event: delivered",
    (Status.SENT, Status.FAILED): "event: undelivered",
    (Status.FAILED, Status.SCHEDULED): "retry by a person",
    (Status.FAILED, Status.SENT): "late proof of an acceptance; not from undelivered",
    (Status.FAILED, Status.DELIVERED): "event: delivered after all",
}
"""(from, to) → the transition that walks it."""

STATUSES = frozenset(Status)
FINAL = frozenset({Status.DELIVERED, Status.CANCELLED, Status.SUPPRESSED})
"""No way leads out of these. `failed` and `sent` are ends as well, until a person or an event says more."""
