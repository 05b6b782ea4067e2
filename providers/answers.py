"""Reading a vendor's answer: JSON that may not be, Retry-After, and what a status means where no table says more.

Refuses vendor knowledge: each vendor's own codes are a table in its module, and that table goes first.
"""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from config.log import mask
from providers.base import Halted, Later, Rejected, Response, SendError, Unknown

ErrorTable = Mapping[Any, tuple[type[SendError], str]]
"""A vendor's code → the decision it means and the sentence that tells support what to do."""


def json_of(response: Response) -> Any:
    """Return the parsed body, or None where it is no JSON (a proxy's HTML page, a cut answer)."""
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return what Retry-After asks for, in seconds from now; None where it is absent or unreadable (RFC 9110)."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_between(headers.get("date", ""), value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_between(sent: str, moment: str) -> float | None:
    """By the vendor's own clock, which its Date header shows: ours may differ."""
    try:
        return max(0.0, (parsedate_to_datetime(moment) - parsedate_to_datetime(sent)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def error_of(response: Response, code: Any, message: str, table: ErrorTable, *, key: Any = None) -> SendError:
    """Return the decision for a refusal: by the vendor's table, else by HTTP status.

    `code` is the vendor's, as support will search for it; `key` looks it up where the code alone is ambiguous.
    The vendor's sentence is masked: the reason of a halt is shown with every other message of the account.
    """
    message = mask(message)
    kind, advice = table.get(code if key is None else key, (None, ""))
    kind = kind or kind_of_status(response.status)
    reason = f"{advice} ({message})" if advice and message else advice or message or f"HTTP {response.status}"
    name = str(code or f"http_{response.status}")
    if issubclass(kind, Later):
        # What a vendor refuses for later is more than it takes now, which spends no attempt of the message.
        waits = retry_after_seconds(response.headers)
        return Later(name, reason, http_status=response.status, after_seconds=waits, counted=False)
    return kind(name, reason, http_status=response.status)


def kind_of_status(status: int) -> type[SendError]:
    """Return the decision that a bare status means. Only what certainly was not processed may be sent again."""
    if status == 429:
        return Later
    if status in {401, 402, 403} or 300 <= status < 400:
        return Halted
    if status in {408, 409, 425} or status >= 500 or status < 400:
        return Unknown
    return Rejected
