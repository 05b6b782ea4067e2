"""Reading a vendor's answer: JSON that may not be, Retry-After, and what a status means where no table says more.

Refuses vendor knowledge: each vendor's own codes are a table in its module, and that table goes first.
"""

import math
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from providers.base import Halted, Later, Rejected, Request, Response, SendError, Unknown
from providers.sentences import sentence

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
    The vendor's sentence is masked: the reason of a halt is shown with every other message of the tenant's account.
    """
    message = sentence(message)
    known = table if response.status >= 300 else {}  # an interim answer refuses nothing, whatever it says
    kind, advice = known.get(code if key is None else key, (None, ""))
    kind = kind or kind_of_status(response.status, by_vendor=bool(code or message))
    reason = f"{advice} ({message})" if advice and message else advice or message or f"HTTP {response.status}"
    name = str(code or f"http_{response.status}")
    if issubclass(kind, Later):
        # What a vendor refuses for later is more than it takes now, which spends no attempt of the message.
        waits = retry_after_seconds(response.headers)
        return Later(name, reason, http_status=response.status, after_seconds=waits, counted=False)
    if issubclass(kind, Halted):
        return Halted(name, reason, http_status=response.status, advice=advice)
    return kind(name, reason, http_status=response.status)


def blamed(error: SendError, request: Request, sender_codes: Collection[str]) -> SendError:
    """Return the decision once it is clear whose fault it is: a lone sender's refusal halts nobody else."""
    if isinstance(error, Halted) and request.lone_sender and error.code in sender_codes:
        return Rejected(error.code, error.reason, http_status=error.http_status)
    return error


def kind_of_status(status: int, *, by_vendor: bool) -> type[SendError]:
    """Return the decision that a status means where no table says more. Only what was not processed is sent again.

    `by_vendor` is False where the answer holds no error of the vendor's: a proxy, or another server at a wrong address,
    would answer every message so. Only 413 is about one message then: its length.
    """
    if status == 429:
        return Later
    if status in {401, 402, 403} or 300 <= status < 400:
        return Halted
    if status in {408, 409, 425} or status >= 500 or status < 400:
        return Unknown
    return Rejected if by_vendor or status == 413 else Halted
