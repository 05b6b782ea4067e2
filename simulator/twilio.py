"""Twilio's 2010-04-01 API as every part of it behaves: who asks, what errors, dates and ids look like.

Follows twilio.com/docs/api/errors (20003, 20404, 20429, 20500) and /docs/usage/twilios-response. Refuses to know any
resource: they are in `simulator.twilio_messages` and `simulator.twilio_calls`.
"""

import base64
import binascii
import re
import time
import uuid
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from aiohttp import web

from simulator.ledger import Accepted
from simulator.ratelimit import Verdict
from simulator.twilio_callbacks import Report, TwilioTelling, kind_of
from simulator.twilio_errors import refusal
from simulator.twilio_list import Listing
from simulator.vendor import Exchange, Refusal, Reply, Vendor

VERSION = "2010-04-01"

_ACCOUNT = re.compile(r"AC[0-9a-fA-F]{32}")


class Twilio(Vendor):
    """What the resources of Twilio have in common: create one, fetch one, list them."""

    name = "twilio"
    plural: ClassVar[str]
    """As in paths: Messages, Calls."""
    kind: ClassVar[str]
    filters: ClassVar[frozenset[str]]
    """The list's parameters besides those of paging."""

    def routes(self) -> list[web.RouteDef]:
        """List the paths of the resource."""
        base = f"/{VERSION}/Accounts/{{account}}/{self.plural}"
        return [
            web.post(f"{base}.json", self.creates(self._create)),
            web.get(f"{base}.json", self.reads(self._list), allow_head=False),
            web.get(f"{base}/{{sid}}.json", self.reads(self._fetch), allow_head=False),
        ]

    @abstractmethod
    async def accept(self, exchange: Exchange) -> Accepted:
        """Read the request and accept what it asks for. Raises Refusal."""

    @abstractmethod
    def resource(self, accepted: Accepted) -> dict[str, Any]:
        """Show one resource as it stands by now."""

    @abstractmethod
    def matches(self, resource: dict[str, Any], filters: Mapping[str, str]) -> bool:
        """Tell whether a resource passes the list's filters, the recipient's aside."""

    def account(self, request: web.Request) -> str:
        """Name the account by the SID of the path, which the user must be; an API key may ask for any."""
        account = request.match_info["account"]
        credentials = _credentials(request.headers.get("Authorization", ""))
        if credentials is None or (credentials[0].startswith("AC") and credentials[0] != account):
            raise refusal(20003)
        if not _ACCOUNT.fullmatch(account):
            raise refusal(20404, request.path)
        if credentials[0] == account:
            self.simulation.tokens[account] = credentials[1]
        return account

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Name the code, the reason, the page about it and the status."""
        return {
            "code": refusal.code,
            "message": refusal.message,
            "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
            "status": refusal.status,
        }

    def too_many(self, retry_after_seconds: float | None, verdict: Verdict | None) -> Refusal:
        """Return 20429; this API documents no Retry-After, so it has one only where a fault orders it."""
        del verdict
        answer = refusal(20429)
        if retry_after_seconds is not None:
            answer.headers = {"Retry-After": str(round(retry_after_seconds))}
        return answer

    def server_error(self) -> Refusal:
        """Return 20500."""
        return refusal(20500)

    def uri(self, account: str, sid: str = "") -> str:
        """Return the path of one resource, or of the list."""
        return f"/{VERSION}/Accounts/{account}/{self.plural}{'/' + sid if sid else ''}.json"

    def identity(self, accepted: Accepted) -> dict[str, Any]:
        """Return what every resource shows of itself."""
        return {
            "sid": accepted.id,
            "account_sid": accepted.account,
            "api_version": VERSION,
            "direction": "outbound-api",
            "to": accepted.recipient,
            "uri": self.uri(accepted.account, accepted.id),
        }

    def date(self, at_seconds: float) -> str:
        """Return a moment of the simulator's clock as RFC 2822 date."""
        return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(self.simulation.wall_seconds(at_seconds)))

    def call_back(self, exchange: Exchange, accepted: Accepted, url: str | None, reports: Sequence[Report]) -> None:
        """Send these reports to the address that the request gave, the last when look-ups show the end."""
        credentials = _credentials(exchange.request.headers.get("Authorization", ""))
        if not url or credentials is None:
            return
        for number, report in enumerate(reports, start=1):
            telling = TwilioTelling(
                vendor=self.name,
                kind=kind_of(report),
                url=url,
                about=accepted.about,
                send_id=accepted.id,
                report=report,
                auth_token=credentials[1],
            )
            elapsed = 1.0 if len(reports) == 1 else (number - 1) / (len(reports) - 1)
            self.simulation.callbacks.tell(telling, elapsed * self.simulation.options.settle_seconds)

    async def _create(self, exchange: Exchange) -> Reply:
        return Reply.json(201, self.resource(await self.accept(exchange)))

    async def _fetch(self, exchange: Exchange) -> Reply:
        accepted = self.simulation.ledger.find(self.kind, exchange.account, exchange.request.match_info["sid"])
        if accepted is None:
            raise refusal(20404, exchange.request.path)
        return Reply.json(200, self.resource(accepted))

    async def _list(self, exchange: Exchange) -> Reply:
        listing = Listing.read(exchange.request.query, self.filters)
        found = self._found(exchange.account, listing)
        return Reply.json(200, listing.page(self.uri(exchange.account), self.plural.lower(), found))

    def _found(self, account: str, listing: Listing) -> Iterator[dict[str, Any]]:
        last = self.simulation.ledger.find(self.kind, account, listing.after_sid) if listing.after_sid else None
        if listing.after_sid and last is None:
            raise refusal(20001, "PageToken")
        shelf = self.simulation.ledger.shelf(self.name, self.kind, account)
        found = shelf.newest_first(listing.filters.get("To"), last)
        resources = (self.resource(accepted) for accepted in found if self.simulation.listed(accepted))
        return (resource for resource in resources if self.matches(resource, listing.filters))


def new_sid(prefix: str) -> str:
    """Return a fresh id of Twilio's form."""
    return prefix + uuid.uuid4().hex


@lru_cache(maxsize=10_000)
def _credentials(authorization: str) -> tuple[str, str] | None:
    """Return user and password of a Basic header; None where one is missing or revoked."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    revoked = user.startswith("revoked") or password.startswith("revoked")
    return (user, password) if scheme.lower() == "basic" and user and password and not revoked else None
