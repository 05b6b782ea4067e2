"""Twilio's callbacks: where they are asked for, and which of its words each of them is.

Refuses signatures (`signature`) and meanings: those of statuses are in `message_statuses` and `call_statuses`, those of
what people write in `inbound`.
"""

from urllib.parse import urlsplit

from providers.base import Account, Message
from providers.callbacks import Callback, Event
from providers.twilio import call_statuses, inbound, message_statuses, parameters
from providers.twilio.signature import RETRIES
from providers.urls import is_loopback


def fields(message: Message, account: Account) -> list[tuple[str, str]]:
    """Return the form fields that ask for callbacks of a message; none where Twilio could not reach us.

    Twilio refuses a message whose address for callbacks is on its own machine or has an underscore in its host (21609).
    """
    url = account.webhook_url
    is_reachable = not is_loopback(url) and "_" not in (urlsplit(url).hostname or "")
    if not url or not (is_reachable or is_loopback(account.base_url)):
        return []
    return [("StatusCallback", f"{url}?attempt={message.attempt_id}&message={message.id}{RETRIES}")]


def parse(callback: Callback) -> list[Event]:
    """Say what a callback tells: one event, or none where it means nothing to us. Raises Malformed."""
    said = parameters.of(callback)
    if "CallSid" in said:
        found = call_statuses.event(said, parameters.attempt(callback))
    elif inbound.is_incoming(said):
        found = inbound.event(said)
    else:
        found = message_statuses.event(said, parameters.attempt(callback))
    return [] if found is None else [found]
