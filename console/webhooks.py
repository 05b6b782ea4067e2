"""Where vendors call back: `POST /webhooks/{provider}/{tenant_id}`; the nil uuid is the environment's account.

Owns the door: the order of the checks (size, account, signature, and only then content), and an answer that makes the
vendor try again only where that helps. Refuses to apply anything: that is a worker's. Never says which of provider and
tenant it does not know.
"""

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from urllib.parse import parse_qsl
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from admission.accounts import Accounts
from admission.reports import report
from config import log
from config.database import Pool
from console.callers import Callers
from console.gathering import Overloaded
from console.intake import Intake, Unstorable
from console.refusals import Refusals, Refused
from console.uploads import Uploads
from outbox import events
from providers.base import Account
from providers.callbacks import BadSignature, Callback, Event, Malformed
from providers.receivers import Receiver

QUERY_LIMIT_BYTES = 8_192
STRANGER = "unknown"
"""Stands in the log for every provider that is none of ours."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """What the receiver of one process works with."""

    providers: Mapping[str, Receiver]
    callers: Callers
    intake: Intake
    public_url: str | None
    uploads: Uploads = field(default_factory=Uploads)
    refusals: Refusals = field(default_factory=Refusals)


def open_door(pool: Pool, providers: Mapping[str, Receiver], accounts: Accounts, public_url: str | None) -> Door:
    """Return the door of one process; `public_url` is what vendors were told, None where the request's own counts."""
    return Door(providers, Callers(accounts), Intake(pool), public_url)


async def webhook(request: Request) -> Response:
    """Store what a vendor says: 204, or 400, 401, 404, 408, 413; 503 while the database is away or too much waits."""
    door: Door = request.app.state.fleet.door
    name: str = request.path_params["provider"]
    provider = door.providers.get(name)
    try:
        await _receive(door, request, provider)
    except Refused as why:
        refused = why
    except Exception as error:  # noqa: BLE001 - the vendor comes again, and finds it mended
        _log.error("callback_failed", error=type(error).__name__, where=_where(error))
        refused = Refused(503, "failed", "try again")
    else:
        return Response(status_code=204)
    door.refusals.note(STRANGER if provider is None else name, refused)
    return refused.response()


async def _receive(door: Door, request: Request, provider: Receiver | None) -> None:
    if len(request.scope["query_string"]) > QUERY_LIMIT_BYTES:
        raise Refused(400, "the address is too long")
    if request.scope["path"].endswith("\n"):  # the framework's pattern lets one pass
        raise Refused(404, "not found")
    tenant: UUID = request.path_params["tenant_id"]
    try:
        account = await door.callers.account(provider.name, tenant) if provider else None
        if provider is None or account is None:
            raise Refused(404, "not found")
        headers = _headers(request.scope)
        body = await door.uploads.body(request.receive, (provider.name, tenant), headers.get("content-length", ""))
        reports = _reports(provider, account, _callback(door, request, headers, body))
        if reports:
            await door.intake.store(reports)
    except (psycopg.Error, TimeoutError, Overloaded, Unstorable) as error:
        raise Refused(503, type(error).__name__, "try again") from None


def _reports(provider: Receiver, account: Account, callback: Callback) -> list[events.Report]:
    """Read a callback, its signature first."""
    try:
        provider.verify(callback, account, now=time.time())
        return [_report(account, callback, event) for event in provider.parse(callback)]
    except BadSignature:
        raise Refused(401, "wrong signature") from None
    except Malformed as why:
        raise Refused(400, "malformed", str(why)) from None
    except Exception as error:  # noqa: BLE001 - what we did not foresee is no reason to fail
        # Whoever sent it gains nothing from coming again, and a mistake of ours must not look like an outage. The text
        # of an exception may quote what it could not read.
        _log.error("callback_unreadable", provider=provider.name, error=type(error).__name__, where=_where(error))
        raise Refused(400, "unreadable") from None


def _where(error: Exception) -> str:
    """Name the place of a mistake without its text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{PurePath(last.filename).name}:{last.lineno}"


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name; of one that is given twice the first counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _callback(door: Door, request: Request, headers: Mapping[str, str], body: bytes) -> Callback:
    """Return the request under the address that the vendor was given, whatever a proxy made of it."""
    query = request.scope["query_string"].decode("latin-1")
    # A prefix that the proxy takes away (uvicorn's --root-path) is in the public address already.
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")) + (f"?{query}" if query else "")
    url = _own_url(request) if door.public_url is None else door.public_url + path
    return Callback(url, dict(parse_qsl(query, keep_blank_values=True)), headers, body)


def _own_url(request: Request) -> str:
    try:
        return str(request.url)
    except ValueError:
        raise Refused(400, "malformed", "the address of the request is none") from None


def _report(account: Account, callback: Callback, event: Event) -> events.Report:
    return report(account, event, event.message_id or _message_id(callback))


def _message_id(callback: Callback) -> UUID | None:
    """Return the message that our own address names: with it the attempt is found by its key."""
    if "message" not in callback.query:
        return None
    try:
        return UUID(callback.query["message"])
    except ValueError:
        raise Malformed("message in the address is no uuid") from None
