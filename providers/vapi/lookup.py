"""Look-ups: how Vapi is asked for the calls that it accepted, and what its list shows of each.

Facts: docs.vapi.ai/api-reference/calls/list and the operation CallController_findAll of the vendor's OpenAPI file. The
list is the whole account's, newest first; it filters by time, by no recipient, and has no cursor. It is not asked for
by number either: the account's may have changed since the call.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from providers.lookup import Page, Question, Record
from providers.records import entries, identity, moment, reading

PAGE_SIZE = 25
"""A call that has ended is shown with its transcript, tens of kilobytes; the client reads one megabyte."""
RAISED_SIZE = 1000
"""The most that Vapi gives; asked for where a whole page is of one time, and the next would begin where it began."""
_MILLISECOND = timedelta(milliseconds=1)
"""As exact as the list shows a time; what it compares may be more exact."""


def path(question: Question, page: str | None) -> str:
    """Return the list's path with its query; `page` is the last page's `next_page`: where it ended, and a size."""
    first = {"createdAtLe": _shown(question.until + _MILLISECOND), "limit": str(PAGE_SIZE)}
    return f"/call?{urlencode({'createdAtGe': _shown(question.since), **first, **dict(parse_qsl(page or ''))})}"


def page_of(question: Question, answer: Any) -> Page:
    """Read one page, cut to the question's recipient and time. Raises Unknown where it cannot be read."""
    with reading("Vapi"):
        calls = entries(answer)
        records = [record for call in calls if (record := _record(call, question.address))]
        asked_for = [record for record in records if question.since <= record.created_at <= question.until]
        return Page(asked_for, _next_page([moment(call["createdAt"]) for call in calls]))


def _record(call: Mapping[str, Any], address: str) -> Record | None:
    """Return None for what is shown to be another's; what is not shown tells nothing."""
    name, number = call.get("name"), (call.get("customer") or {}).get("number")
    mark = _mark(name) if name else None
    if call.get("type") not in (None, "outboundPhoneCall") or number not in (None, address) or (name and not mark):
        return None
    return Record(
        provider_message_id=identity(call, "id"),
        created_at=moment(call["createdAt"]),
        sender=call.get("phoneNumberId"),
        attempt_id=mark,
        answer=call,
    )


def _mark(name: str) -> UUID | None:
    """Return the attempt's id, which is the name of each call of ours."""
    try:
        return UUID(name)
    except ValueError:
        return None


def _next_page(moments: Sequence[datetime]) -> str | None:
    """Go on at the time of the oldest, which shows it again: others of that time may be behind it.

    A page does not tell which size was asked for: one that has exactly either of the two is taken for full. (A time
    with a page full of calls and nothing before it is asked for again and again; the caller's limit of pages ends it.)
    """
    if len(moments) not in (PAGE_SIZE, RAISED_SIZE):
        return None
    oldest = min(moments)
    of_one_time = max(moments) - oldest <= _MILLISECOND
    if of_one_time and len(moments) == RAISED_SIZE:
        raise ValueError("more calls at one time than Vapi lists")
    size = RAISED_SIZE if of_one_time else PAGE_SIZE
    return urlencode({"createdAtLe": _shown(oldest + _MILLISECOND), "limit": size})


def _shown(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
