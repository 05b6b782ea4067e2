"""Reading a vendor's list of what it accepted: what all vendors have in common.

Owns the digest of a text and the decision for a list that cannot be read. Refuses guesses: a list of which one entry
cannot be read is unreadable as a whole, since that entry may be the one that is sought.
"""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from providers.base import Unknown


@contextmanager
def reading(vendor: str) -> Iterator[None]:
    """Read a list inside: whatever is wrong with its shape raises Unknown, `unreadable_answer`.

    Nothing of the answer goes into the reason: it names recipients.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        raise Unknown("unreadable_answer", f"{vendor}'s list of what it accepted cannot be read") from None


def entries(value: Any) -> list[Any]:
    """Return a list's entries. Raises TypeError: an object without any would pass for a list that is empty."""
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def identity(resource: Mapping[str, Any], key: str) -> str:
    """Return the vendor's id of a resource. Raises KeyError or ValueError where it has none."""
    value = resource[key]
    if not isinstance(value, str) or not value:
        raise ValueError("no id")
    return value


def moment(text: str) -> datetime:
    """Return an ISO 8601 date as aware UTC, which it is where it names no zone. Raises TypeError or ValueError."""
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def text_digest(text: str) -> str | None:
    """Return the SHA-256 (hex) of a text, however its characters are composed and its blanks and lines broken.

    None for a text without a character: there is nothing to compare.
    """
    words = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(words.encode()).hexdigest() if words else None
