"""Reading a message's payload: what a field must be, and the sentence that tells support what to mend."""

from collections.abc import Mapping
from typing import Any

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
    if "\n" in value or "\r" in value:
        raise Rejected(f"invalid_{field}", f"payload.{field} must be one line")
    return value


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
