"""What a vendor's record shows of one recipient: the words in which an unknown send is looked up.

Owns the shapes of the question and of the answer. Refuses to decide: which record belongs to which message is matched
by whoever knows all unknown messages to that recipient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from config.channels import Channel


@dataclass(frozen=True, slots=True)
class Question:
    """What did this account's vendor accept for `address` on `channel`, between two moments (aware, UTC)?"""

    channel: Channel
    address: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One message that the vendor's record shows as accepted."""

    provider_message_id: str
    created_at: datetime
    """Aware, UTC; as exact as the vendor shows it, which may be to the second."""
    sender: str | None = None
    """The number, address or service that it went out from; None where the vendor does not show it."""
    digest: str | None = None
    """Of its content, as `Provider.digest` makes it of ours; None where the vendor does not show the content."""
    attempt_id: UUID | None = None
    """Our own mark, where the vendor gives it back: then nothing else needs to match."""
    answer: Any = field(default=None, repr=False)
    """The vendor's resource, as `Accepted.answer` would have been."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of records, and what the next request must carry; None on the last page."""

    records: Sequence[Record]
    next_page: str | None = None
