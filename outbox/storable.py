"""Makes a vendor's answer storable before it meets PostgreSQL.

One value that the database refuses would fail the statement that settles a hundred messages. So what PostgreSQL
cannot hold is taken out first: U+0000, lone surrogates, numbers without a value, and answers too deep or too long.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import orjson

TEXT_LIMIT = 500
"""Characters of a vendor's sentence that are kept; it is read by people."""
BYTES_LIMIT = 16_384
DEPTH_LIMIT = 32


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Return `value` as text that a column takes, cut to `limit` characters."""
    cleaned = str(value).replace("\x00", "")
    if not cleaned.isascii():
        cleaned = cleaned.encode("utf-8", "replace").decode("utf-8")
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def answer(value: Any, limit_bytes: int = BYTES_LIMIT) -> Any:
    """Return `value` as JSON that a jsonb column takes; a summary in its place where it is too deep or too long.

    Accepts whatever a JSON parser returns. Never raises.
    """
    try:
        # Each value has a character at least, and one that parts it from the next.
        cleaned = _clean(value, DEPTH_LIMIT, limit_bytes, iter(range(limit_bytes // 2 + 1)))
        encoded = orjson.dumps(cleaned)
    except _TooLong:
        return {"truncated": True, "type": type(value).__name__}
    except (_TooDeep, RecursionError, TypeError, orjson.JSONEncodeError):
        return {"unstorable": True, "type": type(value).__name__}
    if len(encoded) > limit_bytes:
        return {"truncated": True, "bytes": len(encoded), "sha256": hashlib.sha256(encoded).hexdigest()}
    return cleaned


class _TooDeep(Exception):
    pass


class _TooLong(Exception):
    pass


def _clean(value: Any, depth: int, longest: int, left: Iterator[int]) -> Any:
    """Return a value without what cannot be stored; `left` has one for each value that may still come."""
    if depth == 0:
        raise _TooDeep
    if next(left, None) is None:
        raise _TooLong
    if isinstance(value, dict):
        return {_key(key): _clean(item, depth - 1, longest, left) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item, depth - 1, longest, left) for item in value]
    if isinstance(value, str):
        return text(value, longest)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    return text(value)


def _key(key: object) -> str:
    return text(key, 200)
