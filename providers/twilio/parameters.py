"""What a request of Twilio's says: its parameters, from a form or from JSON.

Owns the reading of bodies, numbers and dates. Refuses meaning: what a status says is a table elsewhere.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl
from uuid import UUID

import orjson

from providers import addresses
from providers.callbacks import Callback, Malformed

FIELDS_LIMIT = 200
"""A status callback has about twenty, an incoming message with media about fifty."""
FORM_LIMIT_BYTES = 65_536
"""A form has to be parsed before its signature can be checked; the longest field is a text of 1,600 characters."""
SECONDS_LIMIT = 10**8
"""Three years; no call is longer, and every column can hold it."""

Parameters = Mapping[str, str]


def of(callback: Callback) -> Parameters:
    """Return the parameters by name; of those that come twice, the last. Raises Malformed."""
    if not is_json(callback):
        return dict(form(callback.body))
    try:
        said = orjson.loads(callback.body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is no JSON") from None
    if not isinstance(said, dict):
        raise Malformed("the body is no object")
    return {name: value for name, value in said.items() if isinstance(value, str)}


@lru_cache(maxsize=1)
def form(body: bytes) -> Sequence[tuple[str, str]]:
    """Return the fields of a form as they came. Raises Malformed.

    Asked for twice in a row, by the check of the signature and by whoever reads what is signed.

    Each must have its `=`: Twilio signs names and values without anything between them, so that a field whose sign was
    taken away would have the same signature and say something else.
    """
    if len(body) > FORM_LIMIT_BYTES:
        raise Malformed(f"the form has over {FORM_LIMIT_BYTES} bytes")
    if not body:
        return ()
    try:
        text = body.decode("utf-8")
        fields = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=FIELDS_LIMIT
        )
        return tuple(fields)
    except ValueError:
        raise Malformed("the body is no form in UTF-8, or has too many fields") from None


def is_json(callback: Callback) -> bool:
    """Tell whether the body is JSON, and so bound to the address by its digest."""
    return callback.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def attempt(callback: Callback) -> UUID | None:
    """Return our mark in the address. Raises Malformed where it is none of ours."""
    if "attempt" not in callback.query:
        return None
    try:
        return UUID(callback.query["attempt"])
    except ValueError:
        raise Malformed("attempt in the address is no uuid") from None


def number(said: Parameters, name: str) -> str | None:
    """Return a phone number in E.164; None where it is redacted (+1415555XXXX), or no number."""
    return addresses.number(said.get(name, ""))


def seconds(said: Parameters, name: str) -> int | None:
    """Return a whole number of seconds; None where it is absent or none."""
    value = said.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < len(str(SECONDS_LIMIT))):
        return None
    return int(value)


def moment(said: Parameters, name: str) -> datetime | None:
    """Return an RFC 2822 date in UTC, which it is where it names no zone; None where it is absent or none."""
    try:
        at = parsedate_to_datetime(said.get(name, ""))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
