"""From what a vendor says, called back or asked, to what the ledger keeps of it.

Owns that translation only, so that an event is the same row whichever way it came. Refuses to read what vendors send,
and to store.
"""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from outbox.events import Report
from providers.base import Account
from providers.callbacks import Event


def report(account: Account, event: Event, message_id: UUID | None = None) -> Report:
    """Return the row of one event of an account; `message_id` is its message where the event does not name one."""
    return Report(
        provider=event.provider or account.provider,
        tenant_id=account.tenant_id,
        event_id=event.event_id,
        kind=event.kind,
        provider_message_id=event.provider_message_id,
        message_id=event.message_id or message_id,
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
