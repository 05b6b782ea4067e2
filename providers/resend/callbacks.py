"""Resend's webhooks: how they are signed, and what their events say.

Sources: resend.com/docs/dashboard/webhooks/introduction and .../event-types, resend.com/docs/webhooks/verify-webhooks-
requests (Svix: the headers svix-*), and the payloads of the vendor's own library, `resend.webhooks`. Resend repeats a
callback for a day, always under the same svix-id, and promises no order.
"""

from collections.abc import Mapping
from email.utils import parseaddr
from typing import Any
from uuid import UUID

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.base import Account, attempt_id
from providers.bodies import object_of, part, text, uuid, when
from providers.callbacks import Callback, Event, Malformed
from providers.sentences import sentence
from providers.signatures import verify_standard

KINDS_OF_EVENTS: Mapping[str, Kind] = {
    # resend.com/docs/dashboard/webhooks/event-types; others (contact.*, domain.*, inbox.*, ...) are of no message.
    "email.scheduled": Kind.ACCEPTED,
    "email.sent": Kind.ACCEPTED,
    "email.delivery_delayed": Kind.DELAYED,
    "email.delivered": Kind.DELIVERED,
    "email.opened": Kind.OPENED,
    "email.clicked": Kind.CLICKED,
    "email.complained": Kind.COMPLAINED,
    "email.failed": Kind.FAILED,
    "email.suppressed": Kind.BLOCKED,
    "email.bounced": Kind.SOFT_BOUNCED,
    "email.received": Kind.REPLIED,
}
PERMANENT = "Permanent"
"""The type of a bounce that makes it a hard one; Transient and Undetermined are of this time only
(resend.com/docs/dashboard/emails/email-bounces)."""


def verify(callback: Callback, account: Account, *, now: float) -> None:
    """Check the signature. Raises BadSignature, also where the account has no secret."""
    verify_standard(callback, account.credentials.get("webhook_secret", ""), "svix", now=now)


def parse(callback: Callback) -> list[Event]:
    """Say what a webhook tells: one event, or none where it is about no message. Raises Malformed."""
    said = object_of(callback.body)
    type_ = said.get("type")
    if not isinstance(type_, str):
        raise Malformed("a webhook has a type")
    if type_ not in KINDS_OF_EVENTS:
        return []
    event_id, data = callback.headers.get("svix-id"), said.get("data")
    if not event_id or not isinstance(data, dict):
        raise Malformed("an event has an id and data")
    kind = _kind(KINDS_OF_EVENTS[type_], data)
    return [_reply(event_id, said, data) if kind is Kind.REPLIED else _event(event_id, kind, said, data)]


def _event(event_id: str, kind: Kind, said: Mapping[str, Any], data: Mapping[str, Any]) -> Event:
    message, attempt = _marks(data.get("tags"))
    code, reason = _cause(kind, data) if KINDS[kind].proves is Proof.UNDELIVERED else (None, None)
    return Event(
        event_id=event_id,
        kind=kind,
        provider_message_id=text(data.get("email_id")),
        message_id=message,
        attempt_id=attempt,
        channel=Channel.EMAIL,
        address=_first(data.get("to")),
        occurred_at=when(said.get("created_at")),
        code=code,
        reason=reason,
        answer=said,
    )


def _reply(event_id: str, said: Mapping[str, Any], data: Mapping[str, Any]) -> Event:
    """Read a mail that came in: Resend posts its subject, not what is below it."""
    return Event(
        event_id=event_id,
        kind=Kind.REPLIED,
        provider_message_id=text(data.get("email_id")),
        channel=Channel.EMAIL,
        address=_bare(data.get("from")),
        our_address=_first(data.get("to")),
        occurred_at=when(said.get("created_at")),
        text=text(data.get("subject")),
        answer=said,
    )


def _kind(kind: Kind, data: Mapping[str, Any]) -> Kind:
    hard = kind is Kind.SOFT_BOUNCED and part(data, "bounce").get("type") == PERMANENT
    return Kind.BOUNCED if hard else kind


def _cause(kind: Kind, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return a code and a sentence for what did not arrive; the vendor's own where it has them."""
    told = next((part(data, name) for name in ("bounce", "suppressed", "failed") if part(data, name)), {})
    words = [word for word in (text(told.get("type")), text(told.get("subType"))) if word]
    said = text(told.get("message")) or text(told.get("reason"))
    return ".".join(words) or kind.value, sentence(said) if said else f"Resend reports that it was {kind.value}"


def _marks(tags: Any) -> tuple[UUID | None, UUID | None]:
    """Return our message and attempt. What else sends through the account may use the same names for its own."""
    if not isinstance(tags, dict):
        return None, None
    message, send_key = uuid(tags.get("message_id")), uuid(tags.get("send_key"))
    return (message, attempt_id(send_key, message)) if message and send_key else (None, None)


def _first(addresses: Any) -> str | None:
    return _bare(addresses[0]) if isinstance(addresses, list) and addresses else None


def _bare(address: Any) -> str | None:
    """Return the address without the name in front of it, in lower case."""
    return (parseaddr(address)[1].lower() or None) if isinstance(address, str) else None
