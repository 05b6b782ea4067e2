"""Plays Vapi's calls: POST /call, GET /call, GET /call/{id}.

Follows the vendor's OpenAPI file (api.vapi.ai, CallController_create, _findAll, _findOne, schema Call). The bodies of
its errors are not in that file; they have the form of the framework that serves it: message, error, statusCode.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from operator import ge, gt, le, lt
from typing import Any

import orjson
from aiohttp import web

from simulator.accounts import bearer_account
from simulator.content import compact_json, digest, marks_of
from simulator.ends import End
from simulator.ledger import Accepted
from simulator.ratelimit import Verdict
from simulator.vapi_callbacks import server_of, tell
from simulator.vapi_rules import check_call
from simulator.vapi_shown import as_it_stands, moments
from simulator.vendor import Exchange, Refusal, Reply, Vendor, unknown_keys

_DEFAULT_LIMIT = "100"
_MOST_IN_PAGE = 1000
_NOT_CONTENT = frozenset({"name", "customer", "customerId", "schedulePlan"})
_NOT_CONTENT_OF_OVERRIDES = frozenset({"metadata", "server"})
_COMPARISONS = {"Gt": gt, "Lt": lt, "Ge": ge, "Le": le}
_FIELDS = ("createdAt", "updatedAt")
_DATES = {f"{field}{sign}": (field, compare) for field in _FIELDS for sign, compare in _COMPARISONS.items()}
_EQUALS = ("id", "assistantId", "phoneNumberId")


class Vapi(Vendor):
    """The phone calls of Vapi."""

    name = "vapi"

    def routes(self) -> list[web.RouteDef]:
        """List the three paths."""
        return [
            web.post("/call", self.creates(self._create)),
            web.get("/call", self.reads(self._list), allow_head=False),
            web.get("/call/{id}", self.reads(self._get), allow_head=False),
        ]

    def account(self, request: web.Request) -> str:
        """Name the organization by its private key."""
        account = bearer_account(request.headers.get("Authorization", ""))
        if account is None:
            raise Refusal(401, "unauthorized", "Invalid key")
        return account

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Name the reason (a list where the body has mistakes), the status in words and in digits."""
        message = refusal.message.split("\n") if refusal.code == "validation" else refusal.message
        return {"message": message, "error": HTTPStatus(refusal.status).phrase, "statusCode": refusal.status}

    def too_many(self, retry_after_seconds: float | None, verdict: Verdict | None) -> Refusal:
        """Return the 429; Vapi documents no Retry-After, so it has one only where a fault orders it."""
        del verdict
        headers = {} if retry_after_seconds is None else {"Retry-After": str(round(retry_after_seconds))}
        return Refusal(429, "too_many_requests", "Too many requests", headers)

    def server_error(self) -> Refusal:
        """Return the 500."""
        return Refusal(500, "internal_server_error", "Internal server error")

    async def _create(self, exchange: Exchange) -> Reply:
        try:
            call = orjson.loads(exchange.body)
        except orjson.JSONDecodeError:
            raise Refusal(400, "validation", "The body is not JSON") from None
        check_call(call)
        await self.work(exchange, (_recipient(call),))
        accepted = self._record(exchange.account, call)
        tell(self.simulation, accepted)
        return Reply.json(201, self._call(accepted))

    def _record(self, account: str, call: dict[str, Any]) -> Accepted:
        return self.simulation.accept(
            Accepted(
                vendor=self.name,
                kind="call",
                account=account,
                id=str(uuid.uuid4()),
                recipient=_recipient(call),
                content_sha256=digest(_content(call)),
                marks_json=compact_json(_marks(call)),
                resource_json=compact_json(call),
                end=End.SCHEDULED if "schedulePlan" in call else "",
            )
        )

    async def _get(self, exchange: Exchange) -> Reply:
        accepted = self.simulation.ledger.find("call", exchange.account, exchange.request.match_info["id"])
        if accepted is None:
            raise Refusal(404, "not_found", "Call not found")
        return Reply.json(200, self._call(accepted))

    async def _list(self, exchange: Exchange) -> Reply:
        query = dict(exchange.request.query)
        limit = query.pop("limit", _DEFAULT_LIMIT)
        problems = [f"property {key} should not exist" for key in unknown_keys(query, (*_EQUALS, *_DATES))]
        if not limit.isdecimal() or int(limit) > _MOST_IN_PAGE:
            problems.append(f"limit must be a number between 0 and {_MOST_IN_PAGE}")
        if problems:
            raise Refusal(400, "validation", "\n".join(problems))
        bounds = {key: _milliseconds(key, query[key]) for key in _DATES if key in query}
        found = self._found(exchange.account, query, bounds)
        return Reply.json(200, [self._call(accepted) for accepted in islice(found, int(limit))])

    def _found(self, account: str, query: Mapping[str, str], bounds: Mapping[str, float]) -> Iterator[Accepted]:
        earliest = max(bounds.get("createdAtGe", 0), bounds.get("createdAtGt", 0))
        for accepted in self.simulation.ledger.shelf(self.name, "call", account).newest_first():
            when = moments(self.simulation, accepted)
            if when["createdAt"] < earliest:
                return  # Everything further back is older still.
            shown = {**accepted.resource, "id": accepted.id}
            if not self.simulation.listed(accepted):
                continue
            if _within(when, bounds) and all(query.get(key, shown.get(key)) == shown.get(key) for key in _EQUALS):
                yield accepted

    def _call(self, accepted: Accepted) -> dict[str, Any]:
        return as_it_stands(self.simulation, accepted)


def _recipient(call: Mapping[str, Any]) -> str:
    customer = call.get("customer", {})
    recipient: str = customer.get("number") or customer.get("sipUri") or call.get("customerId", "")
    return recipient


def _content(call: Mapping[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in call.items() if key not in _NOT_CONTENT}
    for key in ("assistant", "assistantOverrides"):
        if key in content:
            content[key] = {name: part for name, part in content[key].items() if name not in _NOT_CONTENT_OF_OVERRIDES}
    return content


def _marks(call: Mapping[str, Any]) -> dict[str, Any]:
    external_id = call.get("customer", {}).get("externalId")
    marks = marks_of(server_of(call).get("url"))
    return {
        "name": call.get("name"),
        "external_id": external_id,
        "metadata": call.get("assistantOverrides", {}).get("metadata"),
        **marks,
        "message": marks["message"] or external_id,
    }


def _within(when: Mapping[str, int], bounds: Mapping[str, float]) -> bool:
    return all(compare(when[field], bounds[key]) for key, (field, compare) in _DATES.items() if key in bounds)


def _milliseconds(key: str, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "validation", f"{key} must be a valid ISO 8601 date string") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
