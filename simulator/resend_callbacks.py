"""Resend's webhooks: what they say of a mail, how they are signed, when they come again.

Follows the `webhooks` of the vendor's OpenAPI file (resend-openapi 1.5.0), resend.com/docs/dashboard/webhooks and
/docs/webhooks/retries-and-replays for the waits, docs.svix.com/receiving/verifying-payloads/how-manual for the
signature. The click of RFC 8058 stands here too: it comes from the recipient's side, but ends a mail's story.
"""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from simulator.callbacks import Posting, Telling
from simulator.ends import End
from simulator.hooks import Hook
from simulator.ledger import Accepted
from simulator.simulation import Simulation

WAITS_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""After the first try, the second and so on; then Resend gives up."""
ONE_CLICK = "one-click"

STORIES: Mapping[str, Sequence[str]] = {
    End.DELIVERED: ("sent", "delivered"),
    End.OPENED: ("sent", "delivered", "opened"),
    End.CLICKED: ("sent", "delivered", "opened", "clicked"),
    End.UNSUBSCRIBED: ("sent", "delivered", ONE_CLICK),
    End.COMPLAINED: ("sent", "delivered", "complained"),
    End.BOUNCED: ("sent", "bounced"),
    End.SOFT_BOUNCED: ("sent", "delivery_delayed", "bounced"),
    End.SUPPRESSED: ("sent", "suppressed"),
    End.UNDELIVERED: ("sent", "failed"),
    End.SCHEDULED: ("scheduled",),
}
"""By end: what happens to a mail, in order; each but the click is the event `email.<word>`."""

_DIAGNOSES = {
    End.BOUNCED: ("Permanent", "General", "smtp; 550 5.1.1 user unknown", "The recipient's address does not exist."),
    End.SOFT_BOUNCED: ("Transient", "MailboxFull", "smtp; 452 4.2.2 mailbox full", "The recipient's mailbox is full."),
}


@dataclass(slots=True, kw_only=True)
class ResendTelling(Telling):
    """One event of one mail, or one mail that came in."""

    hook: Hook
    svix_id: str
    """The same in every try and every double."""
    payload: Callable[[], dict[str, Any]]

    def posting(self) -> Posting:
        """Return the request, signed with the moment of this try."""
        return signed(self.hook, self.svix_id, orjson.dumps(self.payload()), int(time.time()))

    def wait_seconds(self, tries: int, status: int, spent_seconds: float) -> float | None:
        """Resend comes again until a 2xx, whatever the answer was."""
        del status, spent_seconds
        return WAITS_SECONDS[tries - 1] if tries <= len(WAITS_SECONDS) else None


@dataclass(slots=True, kw_only=True)
class OneClick(Telling):
    """The button of RFC 8058 that a mail program shows: pressed once, never again."""

    def posting(self) -> Posting:
        """Return the request that the mail program makes."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Posting(self.url, headers, b"List-Unsubscribe=One-Click")

    def wait_seconds(self, tries: int, status: int, spent_seconds: float) -> float | None:
        """Nobody presses it twice."""
        return None


def tell(simulation: Simulation, accepted: Accepted) -> None:
    """Tell the story of a mail to its account's hook, from its acceptance until look-ups show the end."""
    hook = simulation.hooks.of("resend", accepted.account)
    story, created = STORIES[accepted.end], simulation.wall_seconds(accepted.at_seconds)
    for number, kind in enumerate(story):
        after_seconds = simulation.options.settle_seconds * number / max(1, len(story) - 1)
        about: dict[str, Any] = {"vendor": "resend", "kind": kind, "about": accepted.about, "send_id": accepted.id}
        if kind == ONE_CLICK:
            url = one_click_url(accepted.marks["headers"]) or ""
            simulation.callbacks.tell(OneClick(url=url, **about), after_seconds)
        elif hook is not None:
            payload = partial(event, accepted, kind, created, created + after_seconds)
            simulation.callbacks.tell(of_hook(hook, payload, **about), after_seconds)


def of_hook(hook: Hook, payload: Callable[[], dict[str, Any]], **about: Any) -> ResendTelling:
    """Return one webhook, under an id of its own."""
    return ResendTelling(url=hook.url, hook=hook, svix_id=f"msg_{uuid.uuid4().hex}", payload=payload, **about)


def event(accepted: Accepted, kind: str, created: float, occurred: float) -> dict[str, Any]:
    """Return what an event says, of a mail that was created and of something that occurred then (Unix time)."""
    resource, tags = accepted.resource, accepted.marks["tags"]
    headers = [{"name": name, "value": value} for name, value in accepted.marks.get("headers", {}).items()]
    data = {
        "email_id": accepted.id,
        "created_at": iso(created),
        "from": resource["from"],
        "to": resource["to"],
        "subject": resource["subject"],
        **({"tags": tags} if tags else {}),
        **({"headers": headers} if headers else {}),
        **_details(accepted.end, kind, occurred),
    }
    return {"type": f"email.{kind}", "created_at": iso(occurred), "data": data}


def _details(end: str, kind: str, occurred: float) -> dict[str, Any]:
    """Return the part that only events of this kind have."""
    match kind:
        case "bounced":
            type_, subtype, code, message = _DIAGNOSES[End(end)]
            return {"bounce": {"type": type_, "subType": subtype, "message": message, "diagnosticCode": [code]}}
        case "clicked":
            link = {"link": "https://acme.io/offer", "ipAddress": "203.0.113.7", "userAgent": "Mozilla/5.0"}
            return {"click": {**link, "timestamp": iso(occurred)}}
        case "failed":
            return {"failed": {"reason": "reached_daily_quota"}}
        case "suppressed":
            said = {"type": "OnAccountSuppressionList", "reason": "previous_bounce", "diagnosticCode": []}
            return {"suppressed": {**said, "message": "The address is on the suppression list of the account."}}
    return {}


def received(id_: str, sender: str, to: str, subject: str, occurred: float) -> dict[str, Any]:
    """Return what the event of a mail that came in says; its text is not in it, as at Resend."""
    data = {
        "email_id": id_,
        "created_at": iso(occurred),
        "from": sender,
        "to": [to],
        "cc": [],
        "bcc": [],
        "subject": subject,
        "message_id": f"<{id_}@resend.dev>",
        "attachments": [],
    }
    return {"type": "email.received", "created_at": iso(occurred), "data": data}


def signed(hook: Hook, svix_id: str, body: bytes, at_seconds: int) -> Posting:
    """Return the request with Svix's three headers."""
    secret = base64.b64decode(hook.secret.removeprefix("whsec_"))
    text = f"{svix_id}.{at_seconds}.".encode() + body
    signature = base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Svix-Webhooks/1.0",
        "svix-id": svix_id,
        "svix-timestamp": str(at_seconds),
        "svix-signature": f"v1,{signature}",
    }
    return Posting(hook.url, headers, body)


def one_click_url(headers: Mapping[str, str]) -> str | None:
    """Return the address behind a mail's unsubscribe button; None where the mail has no such button (RFC 8058)."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("list-unsubscribe-post", "").strip() != "List-Unsubscribe=One-Click":
        return None
    addresses = [part.strip().strip("<>") for part in given.get("list-unsubscribe", "").split(",")]
    return next((address for address in addresses if address.startswith("http")), None)


def iso(unix_seconds: float) -> str:
    """Return a moment as Resend writes it in events."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
