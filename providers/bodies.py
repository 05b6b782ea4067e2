"""Reading the JSON of a callback, of which any part may be missing or be something else.

Owns the lenient readers: what cannot be read is None, because the rest of a callback is proof all the same. Only a body
that is no object at all is Malformed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from providers.callbacks import Malformed
from providers.records import moment


def value_of(body: bytes) -> Any:
    """Return the JSON of a body. Raises Malformed."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is no JSON") from None


def object_of(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a body. Raises Malformed."""
    said = value_of(body)
    if not isinstance(said, dict):
        raise Malformed("the body is no object")
    return said


def part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object under a name; an empty one where there is none."""
    found = whole.get(name)
    return found if isinstance(found, dict) else {}


def text(value: Any) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def uuid(value: Any) -> UUID | None:
    """Return a mark of ours; what else uses an account may have marks of its own in the same place."""
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        return None


def when(value: Any) -> datetime | None:
    """Return a time: ISO 8601, or milliseconds since the epoch."""
    try:
        return moment(value) if isinstance(value, str) else datetime.fromtimestamp(value / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
