"""Plays Vapi's calls: POST /call, GET /call, GET /call/{id}.

Follows the vendor's OpenAPI file (api.vapi.ai, CallController_create, _findAll, _findOne, schema Call). The bodies of
its errors are not in that file; they have the form of the framework that serves it: message, error, statusCode.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from itertools import islice
from operator import ge, gt, le, lt
from typing import Any

import orjson
from aiohttp import web

from simulator.content import attempt_of, compact_json, digest
from simulator.ledger import Accepted
from simulator.ratelimit import Verdict
from simulator.vapi_rules import check_call
from simulator.vendor import Exchange, Refusal, Reply, Vendor, bearer_account, unknown_keys

CALL_MILLISECONDS = 7_000

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
        return Reply.json(201, self._call(self._record(exchange.account, call)))

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
            moments = self._moments(accepted)
            if moments["createdAt"] < earliest:
                return  # Everything further back is older still.
            shown = {**accepted.resource, "id": accepted.id}
            if not self.simulation.listed(accepted):
                continue
            if _within(moments, bounds) and all(query.get(key, shown.get(key)) == shown.get(key) for key in _EQUALS):
                yield accepted

    def _moments(self, accepted: Accepted) -> dict[str, int]:
        """Return when a call was created and last changed, in whole Unix milliseconds, as it is shown."""
        created = int(self.simulation.wall_seconds(accepted.at_seconds) * 1000)
        ended = self.simulation.settled(accepted.at_seconds) and "schedulePlan" not in accepted.resource
        return {"createdAt": created, "updatedAt": created + CALL_MILLISECONDS * ended}

    def _call(self, accepted: Accepted) -> dict[str, Any]:
        """Show a call: scheduled or queued at first, ended once it is settled."""
        kept, moments = accepted.resource, self._moments(accepted)
        return {
            **kept,
            "id": accepted.id,
            "orgId": _organization(accepted.account),
            "type": "outboundPhoneCall",
            "phoneCallTransport": "pstn",
            "status": "scheduled" if "schedulePlan" in kept else "queued",
            **{field: _iso(moment) for field, moment in moments.items()},
            **(_ending(kept, moments) if moments["updatedAt"] > moments["createdAt"] else {}),
        }


def _ending(kept: Mapping[str, Any], moments: Mapping[str, int]) -> dict[str, Any]:
    overrides, assistant = kept.get("assistantOverrides", {}), kept.get("assistant", {})
    spoken = overrides.get("firstMessage") or assistant.get("firstMessage") or "Hello."
    return {
        "status": "ended",
        "endedReason": "customer-ended-call",
        "startedAt": _iso(moments["createdAt"]),
        "endedAt": _iso(moments["updatedAt"]),
        "cost": 0.05,
        "analysis": {"summary": "The customer listened and hung up.", "successEvaluation": "true"},
        "artifact": {"transcript": f"AI: {spoken}\nUser: Thank you.\n"},
    }


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
    overrides = call.get("assistantOverrides", {})
    server = overrides.get("server") or call.get("assistant", {}).get("server") or {}
    return {
        "name": call.get("name"),
        "external_id": call.get("customer", {}).get("externalId"),
        "metadata": overrides.get("metadata"),
        "attempt": attempt_of(server.get("url")),
    }


def _within(moments: Mapping[str, int], bounds: Mapping[str, float]) -> bool:
    return all(compare(moments[field], bounds[key]) for key, (field, compare) in _DATES.items() if key in bounds)


def _milliseconds(key: str, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "validation", f"{key} must be a valid ISO 8601 date string") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=10_000)
def _organization(account: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, account))
