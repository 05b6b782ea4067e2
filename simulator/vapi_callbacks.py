"""Vapi's server messages: what they say of a call, how they are signed, when they come again.

Follows the vendor's OpenAPI file (schemas ServerMessageStatusUpdate, ServerMessageEndOfCallReport, Server,
BackoffPlan, HMACAuthenticationPlan) and docs.vapi.ai/server-url. A call's own `server` comes first and brings its own
headers; the hook's secret signs for it only where it names a credential. The account's hook serves calls that have no
server. Without a backoff plan nothing is tried again.
"""

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from simulator.callbacks import Posting, Telling
from simulator.ends import End
from simulator.hooks import Hook
from simulator.ledger import Accepted
from simulator.simulation import Simulation
from simulator.vapi_shown import CALL_MILLISECONDS, at_its_end, conversation, iso, organization, with_status

STATUS_UPDATE, REPORT = "status-update", "end-of-call-report"
STORIES: Mapping[str, tuple[str, ...]] = {
    End.DELIVERED: ("ringing", "in-progress", "ended", REPORT),
    End.NO_ANSWER: ("ringing", "ended", REPORT),
    End.UNDELIVERED: ("ended", REPORT),
    End.SCHEDULED: ("scheduled",),
}
"""By end: the statuses of a call in order, and the report."""

_TIMEOUT_SECONDS = 20.0
Said = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class VapiTelling(Telling):
    """One server message."""

    server: Mapping[str, Any]
    hook: Hook | None
    said: Callable[[], Said]

    def posting(self) -> Posting:
        """Return the request, signed with the moment of this try."""
        body = orjson.dumps({"message": self.said()})
        headers = {"Content-Type": "application/json", **self.server.get("headers", {})}
        return Posting(self.url, {**headers, **signed(self.hook, body, int(time.time() * 1000))}, body)

    def wait_seconds(self, tries: int, status: int, spent_seconds: float) -> float | None:
        """Try again as the call's backoff plan says."""
        plan = self.server.get("backoffPlan") or {}
        if tries > plan.get("maxRetries", 0) or status in plan.get("excludedStatusCodes", ()):
            return None
        base = float(plan.get("baseDelaySeconds", 1))
        return base * 2 ** (tries - 1) if plan.get("type") == "exponential" else base


def tell(simulation: Simulation, accepted: Accepted) -> None:
    """Tell the story of a call, of it what the call's `serverMessages` name, to its server or its account's hook."""
    call, hook = accepted.resource, simulation.hooks.of("vapi", accepted.account)
    server, wanted = server_of(call), _asked(call, "serverMessages") or (STATUS_UPDATE, REPORT)
    url = server.get("url") or (hook.url if hook else "")
    signs = not server.get("url") or "credentialId" in server
    story = [kind for kind in STORIES[accepted.end] if (REPORT if kind == REPORT else STATUS_UPDATE) in wanted]
    for number, kind in enumerate(story if url else ()):
        telling = VapiTelling(
            vendor="vapi",
            kind=kind,
            url=url,
            about=accepted.about,
            send_id=accepted.id,
            timeout_seconds=float(server.get("timeoutSeconds", _TIMEOUT_SECONDS)),
            server=server,
            hook=hook if signs else None,
            said=partial(message, accepted, kind, int(simulation.wall_seconds(accepted.at_seconds) * 1000)),
        )
        elapsed = 1.0 if len(story) == 1 else number / (len(story) - 1)
        simulation.callbacks.tell(telling, elapsed * simulation.options.settle_seconds)


def server_of(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `server` that a call names in its overrides or its assistant; empty where it names none."""
    server: Mapping[str, Any] = _asked(call, "server") or {}
    return server


def _asked(call: Mapping[str, Any], key: str) -> Any:
    return call.get("assistantOverrides", {}).get(key) or call.get("assistant", {}).get(key)


def message(accepted: Accepted, kind: str, created: int) -> Said:
    """Return what one server message says; `created` is the call's beginning in Unix milliseconds."""
    if kind not in ("ended", REPORT):
        call = with_status(accepted, created, kind)
        return {"type": STATUS_UPDATE, "status": kind, "timestamp": created, **_whom(call)}
    call = at_its_end(accepted, created)
    if kind == "ended":
        ended = {"type": STATUS_UPDATE, "status": kind, "endedReason": call["endedReason"]}
        return {**ended, "timestamp": created + CALL_MILLISECONDS, **_whom(call)}
    return report(call, created)


def report(call: Mapping[str, Any], created: int) -> Said:
    """Return the report of a call that is over."""
    kept = ("endedReason", "cost", "analysis", "artifact", "startedAt", "endedAt")
    said = {key: call[key] for key in kept if key in call}
    return {"type": REPORT, "timestamp": created + CALL_MILLISECONDS, **said, **_whom(call)}


def inbound(account: str, caller: str, number_id: str, said: str, created: int) -> Said:
    """Return the report of a call that somebody made to a number of ours."""
    ended = iso(created + CALL_MILLISECONDS)
    call = {
        "id": str(uuid.uuid4()),
        "orgId": organization(account),
        "type": "inboundPhoneCall",
        "phoneCallTransport": "pstn",
        "status": "ended",
        "endedReason": "customer-ended-call",
        "createdAt": iso(created),
        "updatedAt": ended,
        "startedAt": iso(created),
        "endedAt": ended,
        "phoneNumberId": number_id,
        "customer": {"number": caller},
        **conversation("Hello, how can I help?", said),
    }
    return report(call, created)


def _whom(call: Mapping[str, Any]) -> Said:
    return {"call": call, **({"customer": call["customer"]} if "customer" in call else {})}


def signed(hook: Hook | None, body: bytes, at_milliseconds: int) -> dict[str, str]:
    """Return the headers that prove who sends: the secret itself, or an HMAC over the moment and the body."""
    if hook is None or not hook.secret:
        return {}
    if hook.scheme == "secret":
        return {"X-Vapi-Secret": hook.secret}
    text = f"{at_milliseconds}.".encode() + body
    signature = hmac.new(hook.secret.encode(), text, hashlib.sha256).hexdigest()
    return {"x-timestamp": str(at_milliseconds), "x-signature": signature}
