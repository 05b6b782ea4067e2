"""Lists at Twilio: which page is asked for, which dates pass, and how a page points at its neighbours.

Follows the list operations of the vendor's OpenAPI file (twilio_api_v2010) and twilio.com/docs/usage/twilios-response.
A page token names the last resource of the page before, so that new arrivals shift nothing. Refuses to know any
resource.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from simulator.twilio_errors import refusal

_DEFAULT_SIZE = "50"
_MOST_IN_PAGE = 1000
_TOKEN_PREFIX = "PA"  # noqa: S105 - no secret


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list request asks for: the filters, and the page among what passes them."""

    filters: Mapping[str, str]
    size: int
    number: int
    after_sid: str | None
    """The page begins behind this resource; without it, `number` pages are skipped."""

    @classmethod
    def read(cls, query: Mapping[str, str], known_filters: Iterable[str]) -> "Listing":
        """Read the query. Raises Refusal."""
        filters = dict(query)
        size, number = filters.pop("PageSize", _DEFAULT_SIZE), filters.pop("Page", "0")
        token = filters.pop("PageToken", "")
        if not (size.isdecimal() and 1 <= int(size) <= _MOST_IN_PAGE and number.isdecimal()):
            raise refusal(20001, "PageSize or Page")
        strangers = filters.keys() - set(known_filters)
        if strangers:
            raise refusal(20001, min(strangers))
        return cls(filters, int(size), int(number), token.removeprefix(_TOKEN_PREFIX) or None)

    def page(self, path: str, plural: str, found: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """Show one page of what was found; `found` begins behind `after_sid`."""
        skipped = 0 if self.after_sid else self.number * self.size
        shown = list(islice(found, skipped, skipped + self.size))
        more = next(found, None) is not None
        start = self.number * self.size
        return {
            "first_page_uri": self._uri(path, 0),
            "previous_page_uri": self._uri(path, self.number - 1) if self.number else None,
            "next_page_uri": self._uri(path, self.number + 1, shown[-1]["sid"]) if more else None,
            "uri": self._uri(path, self.number, self.after_sid),
            "page": self.number,
            "page_size": self.size,
            "start": start,
            "end": start + max(0, len(shown) - 1),
            plural: shown,
        }

    def _uri(self, path: str, number: int, after_sid: str | None = None) -> str:
        token = {"PageToken": _TOKEN_PREFIX + after_sid} if after_sid else {}
        return f"{path}?{urlencode({**self.filters, 'PageSize': self.size, 'Page': number, **token})}"


def within_days(day_text: str | None, filters: Mapping[str, str], name: str) -> bool:
    """Tell whether a resource's RFC 2822 date passes the filters `name`, `name<` and `name>`: days, ends included.

    A date that is not set yet passes no filter: a list with one misses what is still queued, as at Twilio.
    """
    bounds = {sign: _day(name, filters[name + sign]) for sign in ("", "<", ">") if name + sign in filters}
    if not bounds or day_text is None:
        return not bounds
    day = datetime.strptime(day_text, "%a, %d %b %Y %H:%M:%S %z").date()
    return bounds.get("", day) == day and bounds.get("<", day) >= day and bounds.get(">", day) <= day


def _day(name: str, text: str) -> date:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise refusal(20001, name) from None
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
