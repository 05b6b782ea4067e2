"""How content is kept and compared: as compact text, and as a digest that is free of our own marks.

Refuses recipients: who gets a message is counted beside its content, not in it.
"""

import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

ATTEMPT, MESSAGE = "attempt", "message"
"""The query parameters by which the fleet's callback URLs name the attempt and the message that they belong to."""


def digest(value: Any) -> bytes:
    """Return the SHA-256 (32 bytes) of a JSON-like value; the order of keys and the spacing do not matter."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


def compact_json(value: Any) -> str:
    """Return a JSON-like value as text to be kept: the bytes that orjson makes occupy 4 kB, however short they are."""
    return orjson.dumps(value).decode()


def marks_of(callback_url: str | None) -> dict[str, str | None]:
    """Return the `attempt` and the `message` of a callback URL's query, None for the one that is absent."""
    query = dict(parse_qsl(urlsplit(callback_url).query)) if callback_url and "?" in callback_url else {}
    return {ATTEMPT: query.get(ATTEMPT), MESSAGE: query.get(MESSAGE)}


def without_attempt(url: str) -> str:
    """Return the URL without its `attempt` parameter, so that a second attempt at a call has the same content."""
    if ATTEMPT not in url:
        return url
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != ATTEMPT]
    return urlunsplit(parts._replace(query=urlencode(query)))
