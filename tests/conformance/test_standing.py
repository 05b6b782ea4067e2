"""How one message stands: asked at a path of the vendor's file, and told as its callback would have told it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.base import Accepted, Halted, Later, Rejected, Response, SendError, Unknown
from providers.callbacks import Call, Event
from providers.twilio import call_statuses, message_statuses
from simulator.simulation import Options
from tests.conformance.openapi import Spec, needs_specs
from tests.twilio_requests import BARE_URL, told
from tests.vendors import PROVIDERS, STAND_IN_URL, account_of, message_of, simulated

TWILIO = PROVIDERS["twilio"]
THEIRS, OURS, AT = "+14155550100", "+15005550006", "Wed, 25 Nov 2026 10:00:00 +0000"
MESSAGE = {"sid": "SM1", "to": THEIRS, "from": OURS, "date_updated": AT, "direction": "outbound-api", "body": "Hello"}
CALL = {"sid": "CA1", "to": THEIRS, "from": OURS, "end_time": AT, "direction": "outbound-api"}


def events(channel: Channel, answer: Any, status: int = 200) -> list[Event]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return list(TWILIO.status_events(channel, Response(status, {}, body)))


def is_end(kind: Kind) -> bool:
    return KINDS[kind].proves in {Proof.DELIVERED, Proof.UNDELIVERED}


@pytest.mark.parametrize("error", [None, 30003, 30005, 21610, 30007])
@pytest.mark.parametrize("status", message_statuses.STATUSES)
def test_a_message_tells_what_its_callback_tells(status: str, error: int | None) -> None:
    called_back = {"MessageSid": "SM1", "MessageStatus": status, "To": THEIRS, "From": OURS}
    event = told(called_back | ({"ErrorCode": str(error)} if error else {}), BARE_URL)
    found = events(Channel.SMS, {**MESSAGE, "status": status, "error_code": error, "error_message": None})
    assert [(one.event_id, one.kind, one.code, one.address) for one in found] == (
        [(event.event_id, event.kind, event.code, event.address)] if is_end(event.kind) else []
    )


@pytest.mark.parametrize("status", call_statuses.STATUSES)
def test_a_call_tells_what_its_callback_tells(status: str) -> None:
    seconds = "7" if status == "completed" else None
    called_back = {"CallSid": "CA1", "CallStatus": status, "To": THEIRS, "From": OURS, "Direction": "outbound-api"}
    event = told(called_back | ({"CallDuration": seconds} if seconds else {}), BARE_URL)
    found = events(Channel.VOICE, {**CALL, "status": status, "duration": seconds})
    assert [(one.event_id, one.kind, one.code, one.call) for one in found] == (
        [(event.event_id, event.kind, event.code, event.call)] if is_end(event.kind) else []
    )
    assert all(one.occurred_at is not None and one.answer["sid"] == "CA1" for one in found)


UNREADABLE: list[Any] = [b"", b"<html>", [], None, {}, {"sid": "SM1"}, {"sid": 7, "status": {}}]


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (404, {"code": 20404, "message": "not found"}, Rejected),
        (404, b"<html>", Halted),
        (401, {"code": 20003, "message": "Authenticate"}, Halted),
        (429, {"code": 20429, "message": "Too many"}, Later),
        (503, b"", Unknown),
        *((200, answer, Unknown) for answer in UNREADABLE),
    ],
)
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.VOICE])
def test_an_answer_that_tells_nothing_is_an_error_and_a_deleted_record_halts_nobody(
    channel: Channel, status: int, answer: Any, kind: type[SendError]
) -> None:
    with pytest.raises(SendError) as raised:
        events(channel, answer, status)
    assert type(raised.value) is kind


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda one: st.lists(one, max_size=2)
)
_resources = st.dictionaries(st.sampled_from([*MESSAGE, *CALL, "status", "error_code", "duration"]), _json)


@settings(deadline=None)
@given(_resources, st.sampled_from([Channel.SMS, Channel.VOICE]))
def test_any_answer_is_read_or_unknown(resource: Mapping[str, Any], channel: Channel) -> None:
    with suppress(Unknown):
        assert len(events(channel, resource)) <= 1


@needs_specs
@pytest.mark.parametrize(
    ("channel", "kind", "statuses"),
    [
        (Channel.SMS, "message", message_statuses.STATUSES),
        (Channel.VOICE, "call", call_statuses.STATUSES),
    ],
)
def test_every_status_of_the_vendors_file_is_known(channel: Channel, kind: str, statuses: Mapping[str, Kind]) -> None:
    request = TWILIO.status_request("SM/1", channel, account_of("twilio"))
    assert (request.method, request.message_ids) == ("GET", ())
    path = request.url.removeprefix(STAND_IN_URL)
    assert path.endswith(f"/{'Messages' if kind == 'message' else 'Calls'}/SM%2F1.json")
    spec, coming = Spec.of("twilio"), {"receiving", "received"} if kind == "message" else set()
    for status in {*statuses, *coming, "teleported"}:
        is_known = not spec.response_errors("GET", path, 200, {"status": status})
        assert is_known == (status in {*statuses, *coming} - {"initiated"})


@pytest.mark.parametrize(
    ("channel", "payload", "kind"),
    [(Channel.SMS, {"body": "Hello"}, Kind.DELIVERED), (Channel.VOICE, {"say": "Hello"}, Kind.CALL_ENDED)],
)
async def test_the_simulators_record_shows_nothing_before_its_end(
    channel: Channel, payload: dict[str, str], kind: Kind
) -> None:
    clock = [0.0]
    async with simulated(Options(clock=lambda: clock[0])) as vendors:
        (sent,) = await vendors.send("twilio", message_of(channel, payload))
        assert isinstance(sent, Accepted)
        request = TWILIO.status_request(sent.provider_message_id, channel, account_of("twilio", vendors.url))
        assert TWILIO.status_events(channel, await vendors.client.send(request)) == []
        clock[0] = 60.0
        (event,) = TWILIO.status_events(channel, await vendors.client.send(request))
        missing = TWILIO.status_request("none", channel, account_of("twilio", vendors.url))
        with pytest.raises(Rejected):
            TWILIO.status_events(channel, await vendors.client.send(missing))
    assert (event.kind, event.provider_message_id, event.address) == (kind, sent.provider_message_id, THEIRS)
    call = Call(call_id=sent.provider_message_id, duration_seconds=7, status="completed", our_number=OURS)
    assert event.call == (call if channel is Channel.VOICE else None)
