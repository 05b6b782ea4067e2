"""Where vendors call back: `POST /webhooks/{provider}/{tenant_id}`; the nil uuid is the environment's account.

Owns the door: size, signature, one short transaction that stores the events, and an answer that makes the vendor try
again only where that helps. Refuses to apply anything: that is a worker's. Never says whether a tenant exists.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from admission.accounts import Accounts
from config import log
from config.database import Pool
from outbox import events
from providers.base import Account
from providers.callbacks import BadSignature, Callback, Event, Malformed
from providers.receivers import Receiver

BODY_LIMIT_BYTES = 1_048_576

_log = log.get(__name__)


class Door(NamedTuple):
    """What the receiver works with."""

    pool: Pool
    providers: Mapping[str, Receiver]
    accounts: Accounts
    public_url: str | None


async def webhook(request: Request) -> Response:
    """Store what a vendor says: 204, or 400, 401, 404, 413, and 503 where the database is away."""
    door: Door = request.app.state.fleet.door
    try:
        return await _receive(door, request)
    except (psycopg.Error, PoolTimeout) as error:
        _log.warning("callback_refused", error=type(error).__name__)
        return PlainTextResponse("try again\n", status_code=503, headers={"Retry-After": "5"})
    except ClientDisconnect:
        return Response(status_code=400)


async def _receive(door: Door, request: Request) -> Response:
    provider = door.providers.get(request.path_params["provider"])
    tenant: UUID = request.path_params["tenant_id"]
    account = await door.accounts.of_callbacks(provider.name, tenant) if provider else None
    if provider is None or account is None:
        return PlainTextResponse("not found\n", status_code=404)
    body = await _body(request)
    if body is None:
        return PlainTextResponse(f"over {BODY_LIMIT_BYTES} bytes\n", status_code=413)
    callback = _callback(door, request, body)
    try:
        provider.verify(callback, account, now=time.time())
        said = provider.parse(callback)
        reports = [_report(account, callback, event) for event in said]
    except BadSignature:
        return PlainTextResponse("wrong signature\n", status_code=401)
    except Malformed as why:
        return PlainTextResponse(f"{why}\n", status_code=400)
    if reports:
        await events.store(door.pool, reports)
    return Response(status_code=204)


async def _body(request: Request) -> bytes | None:
    """Return the body; None where it is too long, of which no more than the limit is read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return None
    return bytes(body)


def _callback(door: Door, request: Request, body: bytes) -> Callback:
    """Return the request under the address that the vendor was given, whatever a proxy made of it."""
    query = request.scope["query_string"].decode("latin-1")
    # A prefix that the proxy takes away (uvicorn's --root-path) is in the public address already.
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")) + (f"?{query}" if query else "")
    url = str(request.url) if door.public_url is None else door.public_url + path
    return Callback(url, dict(request.query_params), dict(request.headers), body)


def _report(account: Account, callback: Callback, event: Event) -> events.Report:
    return events.Report(
        provider=event.provider or account.provider,
        tenant_id=account.tenant_id,
        event_id=event.event_id,
        kind=event.kind,
        provider_message_id=event.provider_message_id,
        message_id=event.message_id or _message_id(callback),
        attempt_id=event.attempt_id,
        channel=event.channel,
        address=event.address,
        our_address=event.our_address,
        code=event.code,
        reason=event.reason,
        occurred_at=event.occurred_at,
        details=_details(event),
        body=event.answer,
    )


def _details(event: Event) -> dict[str, Any] | None:
    """Return what was read out of a call or a reply, as `fleet.events.details` keeps it."""
    found = {"call": asdict(event.call) if event.call else None, "text": event.text}
    return {name: value for name, value in found.items() if value is not None} or None


def _message_id(callback: Callback) -> UUID | None:
    """Return the message that our own address names: with it the attempt is found by its key."""
    if "message" not in callback.query:
        return None
    try:
        return UUID(callback.query["message"])
    except ValueError:
        raise Malformed("message in the address is no uuid") from None
