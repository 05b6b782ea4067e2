"""Plays what Resend tells of the mail that it took: GET /emails and GET /emails/{id}.

Follows the vendor's OpenAPI file (resend-openapi 1.5.0, schema Email).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from aiohttp import web

from simulator.ends import End
from simulator.ledger import Accepted
from simulator.resend import EMAIL, Resend
from simulator.resend_rules import invalid
from simulator.vendor import Exchange, Refusal, Reply

_DEFAULT_PAGE = "20"
_LAST_EVENTS: Mapping[str, str] = {
    End.UNSUBSCRIBED: "delivered",
    End.SOFT_BOUNCED: "bounced",
    End.UNDELIVERED: "failed",
}
"""By end, where the vendor's word is another."""


class ResendRead(Resend):
    """What answers questions about mail."""

    def routes(self) -> list[web.RouteDef]:
        """List the two paths."""
        return [
            web.get("/emails", self.reads(self._list), allow_head=False),
            web.get("/emails/{id}", self.reads(self._get), allow_head=False),
        ]

    async def _list(self, exchange: Exchange) -> Reply:
        limit, cursor = self._page(exchange)
        shelf = self.simulation.ledger.shelf(self.name, EMAIL, exchange.account)
        if cursor is not None and "before" in exchange.request.query:
            page, has_more = self._shown(iter(shelf.sends[cursor.position + 1 :]), limit)
            page.reverse()
        else:
            page, has_more = self._shown(shelf.newest_first(before=cursor), limit)
        data = [self._email(accepted) for accepted in page]
        return Reply.json(200, {"object": "list", "has_more": has_more, "data": data})

    def _shown(self, walk: Iterator[Accepted], limit: int) -> tuple[list[Accepted], bool]:
        """Take one page of what lists show, and tell whether there is more."""
        found = filter(self.simulation.listed, walk)
        return list(islice(found, limit)), next(found, None) is not None

    def _page(self, exchange: Exchange) -> tuple[int, Accepted | None]:
        query = exchange.request.query
        limit = query.get("limit", _DEFAULT_PAGE)
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            raise invalid("The `limit` is a number between 1 and 100.")
        if "after" in query and "before" in query:
            raise invalid("Use either `after` or `before`.")
        cursor_id = query.get("after") or query.get("before")
        cursor = self.simulation.ledger.find(EMAIL, exchange.account, cursor_id) if cursor_id else None
        if cursor_id and cursor is None:
            raise Refusal(404, "not_found", "The cursor was not found.")
        return int(limit), cursor

    async def _get(self, exchange: Exchange) -> Reply:
        email_id = exchange.request.match_info["id"]
        accepted = self.simulation.ledger.find(EMAIL, exchange.account, email_id)
        if accepted is None:
            raise Refusal(404, "not_found", "Email not found.")
        content = {key: value for key, value in accepted.resource.items() if key in ("html", "text")}
        return Reply.json(200, {"object": "email", **self._email(accepted), **content})

    def _email(self, accepted: Accepted) -> dict[str, Any]:
        resource = accepted.resource
        created = datetime.fromtimestamp(self.simulation.wall_seconds(accepted.at_seconds), UTC)
        return {
            "id": accepted.id,
            "message_id": f"<{accepted.id}@resend.dev>",
            "to": resource["to"],
            "created_at": f"{created:%Y-%m-%d %H:%M:%S.%f}+00",
            "from": resource["from"],
            "subject": resource["subject"],
            **{key: resource.get(key, []) for key in ("cc", "bcc", "reply_to")},
            "last_event": self._last_event(accepted),
        }

    def _last_event(self, accepted: Accepted) -> str:
        if accepted.end == End.SCHEDULED or self.simulation.settled(accepted.at_seconds):
            return _LAST_EVENTS.get(accepted.end, accepted.end)
        return "sent"
