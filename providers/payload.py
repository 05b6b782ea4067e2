"""From a message's payload to a request's body: what a field must be, and the sentence that says what to mend.

Refuses to show what a field holds: a sentence names the field and what is wrong with it, never its content.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson

from providers.base import Rejected


def text(payload: Mapping[str, Any], field: str, *, limit: int | None = None) -> str:
    """Return a required text. Raises Rejected where it is missing, empty, no text or over `limit` characters."""
    value = optional_text(payload, field, limit=limit)
    if value is None or not value.strip():
        raise Rejected(f"missing_{field}", f"payload.{field} is empty; set it")
    return value


def optional_text(payload: Mapping[str, Any], field: str, *, limit: int | None = None) -> str | None:
    """Return a text or None. Raises Rejected where it is no text or over `limit` characters."""
    value = payload.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Rejected(f"invalid_{field}", f"payload.{field} must be a text, it is {type(value).__name__}")
    if limit is not None and len(value) > limit:
        raise Rejected(f"{field}_too_long", f"payload.{field} has {len(value)} characters, at most {limit} can be sent")
    return value


def one_line(payload: Mapping[str, Any], field: str, *, limit: int | None = None) -> str:
    """Return a required text without line breaks: it becomes a header."""
    value = text(payload, field, limit=limit)
    if not is_one_line(value):
        raise Rejected(f"invalid_{field}", f"payload.{field} must be one line")
    return value


def is_one_line(value: str) -> bool:
    """Tell whether a text can stand in a header: no line break of any kind, also none at its end."""
    return value.splitlines() in ([], [value])


def mapping(payload: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return an object, empty where it is absent. Raises Rejected where it is something else."""
    value = payload.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Rejected(f"invalid_{field}", f"payload.{field} must be an object, it is {type(value).__name__}")
    return value


def objects(payload: Mapping[str, Any], field: str, *, limit: int) -> list[Any]:
    """Return a list of up to `limit` entries, empty where it is absent. Raises Rejected."""
    value = payload.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Rejected(f"invalid_{field}", f"payload.{field} must be a list, it is {type(value).__name__}")
    if len(value) > limit:
        raise Rejected(f"too_many_{field}", f"payload.{field} has {len(value)} entries, at most {limit} can be sent")
    return value


def as_json(value: Any) -> bytes:
    """Return a body as JSON. Raises Rejected for what PostgreSQL's JSON can hold and a vendor's parser cannot."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Rejected(
            "invalid_payload", "payload is nested too deeply, or has a number of over 64 bits or broken characters"
        ) from None


def as_form(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return a body as a form. Raises Rejected where a text is no Unicode."""
    try:
        return urlencode(fields).encode()
    except UnicodeEncodeError:
        raise Rejected("invalid_payload", "payload has broken characters; write the text again") from None
