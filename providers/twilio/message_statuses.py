"""What Twilio's statuses of a message mean, as data, and the event that each of them is.

Sources: twilio.com/docs/messaging/api/message-resource (statuses), /docs/messaging/guides/outbound-message-status-in-
status-callbacks (parameters), /docs/api/errors/<code> (what kept a message from arriving). Twilio promises no order.
"""

from collections.abc import Mapping
from uuid import UUID

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.callbacks import Event, Malformed
from providers.twilio.parameters import Parameters, moment, number

STATUSES: Mapping[str, Kind] = {
    "accepted": Kind.ACCEPTED,
    "scheduled": Kind.ACCEPTED,
    "queued": Kind.ACCEPTED,
    "sending": Kind.ACCEPTED,
    "sent": Kind.ACCEPTED,
    "delivered": Kind.DELIVERED,
    "partially_delivered": Kind.DELIVERED,
    "read": Kind.DELIVERED,
    "undelivered": Kind.FAILED,
    "failed": Kind.FAILED,
    "canceled": Kind.FAILED,
}
ERRORS: Mapping[str, Kind] = {
    # No such number, or one that takes no text messages. A messaging service reports the first three afterwards.
    "21211": Kind.BOUNCED,
    "21214": Kind.BOUNCED,
    "21614": Kind.BOUNCED,
    "30005": Kind.BOUNCED,
    "30006": Kind.BOUNCED,
    # A phone that is off or out of reach; what the carrier does not explain.
    "30003": Kind.SOFT_BOUNCED,
    "30008": Kind.SOFT_BOUNCED,
    # The recipient said STOP to this sender or has blocked it, or the carrier keeps a list (Do Not Disturb in India).
    "21610": Kind.BLOCKED,
    "30004": Kind.BLOCKED,
    "63014": Kind.BLOCKED,
}
"""What a message ended of that did not arrive; all other codes say nothing of the recipient.

Twilio changes causes from time to time (its changelog of 10 July 2024), so an unknown code suppresses nobody.
"""


def event(said: Parameters, attempt_id: UUID | None = None) -> Event | None:
    """Return what a message's status tells; None for a status that means nothing to us. Raises Malformed."""
    sid = said.get("MessageSid") or said.get("SmsSid")
    status = said.get("MessageStatus") or said.get("SmsStatus")
    if not sid or not status:
        raise Malformed("a status callback has a sid and a status")
    error = said.get("ErrorCode", "")
    kind = _kind(status, error)
    if kind is None:
        return None
    is_bad = KINDS[kind].proves is Proof.UNDELIVERED
    return Event(
        event_id=f"{sid}:{status}:{error}",
        kind=kind,
        provider_message_id=sid,
        attempt_id=attempt_id,
        channel=Channel.SMS,
        address=number(said, "To"),
        our_address=number(said, "From"),
        occurred_at=moment(said, "Timestamp"),
        code=(error or status) if is_bad else None,
        reason=(said.get("ErrorMessage") or f"Twilio reports {status}") if is_bad else None,
        answer=dict(said),
    )


def _kind(status: str, error: str) -> Kind | None:
    kind = STATUSES.get(status)
    return ERRORS.get(error, kind) if kind is Kind.FAILED else kind
