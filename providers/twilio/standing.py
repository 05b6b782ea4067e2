"""How one message or call stands: Twilio is asked, and its answer is the event that the callback would have been.

Facts: the fetch operations of twilio_api_v2010 (Message, Call). Owns the translation of a resource into a callback's
words, so that both make the same event with the same id.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from config.channels import Channel
from config.vocabulary import KINDS, Proof
from providers.base import Unknown
from providers.callbacks import Event, Malformed
from providers.twilio import call_statuses, calls, message_statuses, messages
from providers.twilio.parameters import Parameters

_OF_MESSAGE: Mapping[str, str] = {
    "MessageSid": "sid",
    "MessageStatus": "status",
    "ErrorCode": "error_code",
    "ErrorMessage": "error_message",
    "To": "to",
    "From": "from",
    "Timestamp": "date_updated",
}
_OF_CALL: Mapping[str, str] = {
    "CallSid": "sid",
    "CallStatus": "status",
    "CallDuration": "duration",
    "Direction": "direction",
    "To": "to",
    "From": "from",
    "Timestamp": "end_time",
}
_ENDS = frozenset({Proof.DELIVERED, Proof.UNDELIVERED})


def path(provider_message_id: str, channel: Channel) -> str:
    """Return the resource's path below the account."""
    resource = messages.PATH if channel is Channel.SMS else calls.PATH
    return f"{resource.removesuffix('.json')}/{quote(provider_message_id, safe='')}.json"


def events(channel: Channel, resource: Any) -> list[Event]:
    """Return the event of a status that is an end; none where it has none yet. Raises Unknown."""
    is_message = channel is Channel.SMS
    try:
        said = _in_words_of_a_callback(resource, _OF_MESSAGE if is_message else _OF_CALL)
        event = message_statuses.event(said) if is_message else call_statuses.event(said)
    except (Malformed, AttributeError):
        raise Unknown("unreadable_answer", "Twilio's answer shows no status") from None
    if event is None or KINDS[event.kind].proves not in _ENDS:
        return []
    return [replace(event, answer=resource)]


def _in_words_of_a_callback(resource: Any, names: Mapping[str, str]) -> Parameters:
    values = {name: resource.get(key) for name, key in names.items()}
    return {name: str(value) for name, value in values.items() if isinstance(value, str | int)}
