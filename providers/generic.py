"""The generic door: events in the fleet's own words, from a tenant's gateway or a service that has no module here.

Owns the format of docs/webhooks.md: one event or a list of them, signed by the Standard Webhooks scheme
(standardwebhooks.com). Refuses the environment's account: whoever speaks here speaks of one tenant's own messages.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from config.catalog import CATALOG
from config.channels import Channel
from config.vocabulary import KINDS, Kind
from providers import addresses
from providers.base import Account, Halted
from providers.bodies import value_of
from providers.callbacks import Callback, Event, Malformed
from providers.credentials import ear, webhook_secret
from providers.records import moment
from providers.sentences import sentence
from providers.signatures import verify_standard

NAME = "generic"
MOST_EVENTS = 100
ID_LIMIT = 150
"""Characters of an event's id: with what is put in front of it, it is kept whole."""
FIELDS = frozenset({
    "id", "type", "provider", "message_id", "provider_message_id", "attempt_id", "channel", "address", "occurred_at",
    "code", "reason", "text",
})  # fmt: skip

TYPES = frozenset(Kind) - {Kind.RESUBSCRIBED}
"""What may be told. Taking an unsubscribing back is done on our own page, by whom it is about."""
AHEAD_LIMIT = timedelta(days=1)
"""How far a gateway's clock, or its idea of a zone, may be from ours; what is told of a later time is a mistake."""

_Value = TypeVar("_Value")


class Generic:
    """The receiver; `providers.receivers.Receiver` says what each member means."""

    name = NAME

    def account_from_environment(self, settings: Any) -> Account:
        """Refuse: the nil tenant has no gateway of its own."""
        raise Halted("not_configured", "the generic door is a tenant's own")

    def account_of_tenant(self, tenant_id: UUID, row: Mapping[str, str], settings: Any) -> Account:
        """Return what a tenant's events are checked with; it sends nothing."""
        return self.ear_of_tenant(tenant_id, row)

    def ear_from_environment(self, settings: Any) -> Account:
        """Refuse, as above."""
        return self.account_from_environment(settings)

    def ear_of_tenant(self, tenant_id: UUID, row: Mapping[str, str]) -> Account:
        """Return what a tenant's events are checked with."""
        return ear(NAME, tenant_id, webhook_secret(row["webhook_secret"]))

    def verify(self, callback: Callback, account: Account, *, now: float) -> None:
        """Check the signature. Raises BadSignature."""
        verify_standard(callback, account.credentials.get("webhook_secret", ""), "webhook", now=now)

    def parse(self, callback: Callback) -> list[Event]:
        """Read all events, or refuse them all. Raises Malformed with what is to be mended."""
        said = value_of(callback.body)
        events = said if isinstance(said, list) else [said]
        if len(events) > MOST_EVENTS:
            raise Malformed(f"a request has up to {MOST_EVENTS} events")
        return [_event(one) for one in events]


def _event(said: Any) -> Event:
    if not isinstance(said, dict) or not said.keys() <= FIELDS:
        raise Malformed(f"an event is an object with {', '.join(sorted(FIELDS))}, and nothing else")
    channel = _read(said, "channel", Channel)
    kind, provider = _required(said, "type", _kind), _required(said, "provider", _provider)
    event = Event(
        event_id=f"{NAME}:{_required(said, 'id', _id)}",
        kind=kind,
        provider=provider,
        provider_message_id=_read(said, "provider_message_id", str),
        message_id=_read(said, "message_id", UUID),
        attempt_id=_read(said, "attempt_id", UUID),
        channel=channel,
        address=_read(said, "address", partial(_address, channel)),
        occurred_at=_read(said, "occurred_at", _past),
        code=_read(said, "code", str),
        reason=_read(said, "reason", sentence),
        text=_read(said, "text", str),
        answer=said,
    )
    _check_subject(event)
    return event


def _check_subject(event: Event) -> None:
    """Refuse what nobody could ever find the subject of."""
    if event.message_id:
        return
    if KINDS[event.kind].proves is not None and not event.provider_message_id:
        raise Malformed(f"{event.kind} is of a message: name message_id or provider_message_id")
    if KINDS[event.kind].proves is None and not (event.channel and event.address):
        raise Malformed(f"{event.kind} is of a person: name message_id, or channel and address")


def _required(said: Mapping[str, Any], name: str, reader: Callable[[str], _Value]) -> _Value:
    value = _read(said, name, reader)
    if value is None:
        raise Malformed(f"an event has {name}")
    return value


def _read(said: Mapping[str, Any], name: str, reader: Callable[[str], _Value]) -> _Value | None:
    """Return a field, None where it is absent or empty. The value is not repeated in what is said of it."""
    value = said.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Malformed(f"{name} is a text")
    try:
        return reader(value)
    except (ValueError, OverflowError):
        raise Malformed(f"{name} is not what it should be") from None


def _provider(text: str) -> str:
    if text not in CATALOG:
        raise Malformed(f"provider is one of {', '.join(CATALOG)}")
    return text


def _kind(text: str) -> Kind:
    if text not in TYPES:
        raise Malformed(f"type is one of {', '.join(sorted(TYPES))}")
    return Kind(text)


def _past(text: str) -> datetime:
    at = moment(text)
    if at > datetime.now(UTC) + AHEAD_LIMIT:
        raise Malformed("occurred_at is more than a day ahead; give the time in UTC, or with its zone")
    return at


def _address(channel: Channel | None, text: str) -> str:
    if channel is None:
        raise Malformed("address stands beside the channel that it is of")
    address = addresses.of_channel(channel, text)
    if address is None:
        raise Malformed(
            "address is, by its channel, a number in E.164 (+ and digits) or a bare mail address; else none"
        )
    return address


def _id(text: str) -> str:
    if len(text) > ID_LIMIT:
        raise Malformed(f"id has up to {ID_LIMIT} characters")
    return text
