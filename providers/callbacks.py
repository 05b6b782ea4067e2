"""What a vendor tells us afterwards: a callback as it came in, and the events that it stands for.

Owns the shapes. Refuses the ledger: an event names what the vendor names, and whoever applies it finds the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from config.channels import Channel
from config.vocabulary import Kind


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a vendor says of a call as a whole: what `voice_call_records` keeps of it."""

    call_id: str
    """The vendor's."""
    direction: Literal["inbound", "outbound"] = "outbound"
    duration_seconds: int | None = None
    transcript: str | None = field(default=None, repr=False)
    summary: str | None = field(default=None, repr=False)
    sentiment: str | None = None
    status: Literal["completed", "failed", "no_answer"] | None = None
    """None while it is not over."""
    our_number: str | None = None
    """E.164, or None where the vendor names only its own id of it."""
    number_id: str | None = None
    """The vendor's id of our number, as in `voice_phone_numbers.provider_id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a vendor says, of one message or of one person."""

    event_id: str
    """The same for the same event delivered twice; the vendor's own, or made from what it says."""
    kind: Kind
    provider: str | None = None
    """Whose message it is about, where the door that it came through is not that provider's own."""
    provider_message_id: str | None = None
    """The vendor's id of the message; of what came in, where the event is about that."""
    message_id: UUID | None = None
    attempt_id: UUID | None = None
    """Our own marks, where the callback carries them."""
    channel: Channel | None = None
    address: str | None = field(default=None, repr=False)
    """The other side: the recipient of a message, or who wrote or called. E.164 or a mail address."""
    our_address: str | None = None
    """Our side, where it matters which: the number that was written to."""
    occurred_at: datetime | None = None
    """By the vendor's clock; None where it does not say."""
    code: str | None = None
    reason: str | None = None
    text: str | None = field(default=None, repr=False)
    """What the person wrote."""
    call: Call | None = field(default=None, repr=False)
    answer: Any = field(default=None, repr=False)
    """What the vendor said, JSON-like."""
