"""What a vendor tells us afterwards: a callback as it came in, and the events that it stands for.

Owns the shapes. Refuses the ledger: an event names what the vendor names, and whoever applies it finds the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class BadSignature(Exception):
    """The callback was not signed with the account's secret, or too long ago. Answered 401, stored nowhere."""


class Malformed(Exception):
    """The callback cannot be read; the message says what is wrong with it. Answered 400."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One request of a vendor to us, as it was received."""

    url: str
    """The public URL that the vendor was given, with its query: what some vendors sign."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)


class Kind(StrEnum):
    """What happened, in the fleet's own words for all vendors."""

    ACCEPTED = "accepted"
    """The vendor has it; says no more than its answer to the send would have said."""
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """It will not arrive; `code` and `reason` say why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a vendor says of one message."""

    event_id: str
    """The same for the same event delivered twice; the vendor's own, or made from what it says."""
    kind: Kind
    provider_message_id: str
    attempt_id: UUID | None = None
    """Our own mark, where the callback carries it."""
    occurred_at: datetime | None = None
    code: str | None = None
    reason: str | None = None
    answer: Any = field(default=None, repr=False)
    """What the vendor said, JSON-like."""
