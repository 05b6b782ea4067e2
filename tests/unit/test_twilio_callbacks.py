"""Twilio's callbacks: asked for where Twilio can reach us, and read whatever they hold: statuses, calls, people."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.callbacks import Call, Event, Malformed
from providers.twilio import call_statuses, inbound, message_statuses
from providers.twilio.signature import RETRIES
from tests.twilio_requests import ATTEMPT, BARE_URL, URL, form_callback, parse, told
from tests.vendors import PROVIDERS, account_of, message_of

THEIRS, OURS = "+14155550100", "+15005550006"
SENT = {"MessageSid": "SM1", "SmsSid": "SM1", "MessageStatus": "sent", "To": THEIRS, "From": OURS}
CALL = {"CallSid": "CA1", "CallStatus": "completed", "To": THEIRS, "From": OURS, "Direction": "outbound-api"}
WRITTEN = {"MessageSid": "SM2", "SmsSid": "SM2", "SmsStatus": "received", "From": THEIRS, "To": OURS, "NumMedia": "0"}

_NAMES = [
    *("MessageSid", "SmsSid", "CallSid", "MessageStatus", "SmsStatus", "CallStatus", "ErrorCode", "ErrorMessage"),
    *("To", "From", "Body", "OptOutType", "Direction", "Timestamp", "CallDuration", "AnsweredBy", "SipResponseCode"),
]
_ODD = [
    *("received", "inbound", "STOP", "30005", THEIRS, "\uff19", "1" * 99, "Wed, 25 Nov 2026", "Mon, 99 Foo 2024"),
    *("Thu, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359"),
]
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [*message_statuses.STATUSES, *call_statuses.STATUSES, *_ODD]
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(_NAMES), values))
def test_any_fields_are_refused_or_one_event(said: dict[str, str]) -> None:
    one = form_callback(said)
    try:
        events = parse(one)
    except Malformed:
        return
    assert len(events) <= 1
    assert parse(one) == events, "the same again has the same id"
    for event in events:
        assert event.answer == said
        assert event.event_id.startswith(f"{event.provider_message_id}:")


@pytest.mark.parametrize(("status", "kind"), message_statuses.STATUSES.items())
def test_each_status_of_a_message(status: str, kind: Kind) -> None:
    event = told({**SENT, "MessageStatus": status, "ErrorCode": "30500"})
    is_bad = KINDS[kind].proves is Proof.UNDELIVERED
    assert (event.kind, event.provider_message_id, event.attempt_id) == (kind, "SM1", ATTEMPT)
    assert (event.channel, event.address, event.our_address) == (Channel.SMS, THEIRS, OURS)
    assert event.event_id == f"SM1:{status}:30500"
    assert (event.code, bool(event.reason)) == (("30500", True) if is_bad else (None, False))


@pytest.mark.parametrize(
    ("error", "kind"), [*message_statuses.ERRORS.items(), ("30007", Kind.FAILED), ("", Kind.FAILED)]
)
@pytest.mark.parametrize("status", ["undelivered", "failed"])
def test_each_error_of_a_message_that_did_not_arrive(status: str, error: str, kind: Kind) -> None:
    event = told({**SENT, "MessageStatus": status, "ErrorCode": error})
    assert (event.kind, event.code) == (kind, error or status)
    assert KINDS[event.kind].proves is Proof.UNDELIVERED
    assert told({**SENT, "MessageStatus": "delivered", "ErrorCode": error}).kind is Kind.DELIVERED


@pytest.mark.parametrize("to", ["+1415555XXXX", "whatsapp:+14155550100", "client:ada", "", "+1" + "2" * 30])
def test_a_redacted_number_suppresses_nobody_else(to: str) -> None:
    assert told({**SENT, "To": to, "From": "MG1"}).address is None
    assert told({**WRITTEN, "Body": "STOP", "From": to}).address is None


@pytest.mark.parametrize(("status", "kind"), call_statuses.STATUSES.items())
def test_each_status_of_a_call(status: str, kind: Kind) -> None:
    event = told({**CALL, "CallStatus": status, "Timestamp": "Wed, 25 Nov 2026 10:00:00 +0200"})
    is_bad = KINDS[kind].proves is Proof.UNDELIVERED
    code = {"busy": "no_answer", "no-answer": "no_answer"}.get(status, status)
    assert (event.event_id, event.kind, event.attempt_id) == (f"CA1:{status}", kind, ATTEMPT)
    assert (event.channel, event.address, event.our_address) == (Channel.VOICE, THEIRS, OURS)
    assert (event.code, bool(event.reason)) == ((code, True) if is_bad else (None, False))
    assert event.occurred_at == datetime(2026, 11, 25, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ({"CallDuration": "7"}, {"status": "completed", "duration_seconds": 7}),
        ({"CallDuration": "-7"}, {"status": "completed"}),
        ({"CallStatus": "in-progress"}, {}),
        ({"CallStatus": "busy"}, {"status": "no_answer"}),
        ({"CallStatus": "no-answer"}, {"status": "no_answer"}),
        ({"CallStatus": "failed"}, {"status": "failed"}),
        ({"CallStatus": "canceled"}, {"status": "failed"}),
    ],
)
def test_a_call_as_a_whole(said: dict[str, str], call: dict[str, Any]) -> None:
    assert told({**CALL, **said}).call == Call(call_id="CA1", our_number=OURS, **call)


def test_a_call_that_has_only_begun_is_no_record_and_a_failed_one_says_why() -> None:
    assert told({**CALL, "CallStatus": "ringing"}).call is None
    failed = told({**CALL, "CallStatus": "failed", "SipResponseCode": "404"})
    assert failed.reason == "the call could not be connected (SIP 404)"


@pytest.mark.parametrize("answered_by", ["human", "machine_start", "machine_end_beep", "fax", "unknown"])
def test_who_picked_up(answered_by: str) -> None:
    found = {"CallSid": "CA1", "AccountSid": "AC1", "AnsweredBy": answered_by, "MachineDetectionDuration": "2400"}
    event = told(found)
    assert (event.kind, event.code, event.attempt_id) == (Kind.CALL_ANSWERED, answered_by, ATTEMPT)
    assert event.call == Call(call_id="CA1")
    in_progress = told({**CALL, "CallStatus": "in-progress", "AnsweredBy": answered_by})
    assert (in_progress.kind, in_progress.code) == (Kind.CALL_ANSWERED, answered_by)
    assert in_progress.event_id != event.event_id


@pytest.mark.parametrize("status", call_statuses.STATUSES)
def test_a_call_to_us_is_no_message_of_ours(status: str) -> None:
    said = {**CALL, "Direction": "inbound", "CallStatus": status, "To": OURS, "From": THEIRS}
    event = told(said, BARE_URL)
    assert (event.kind, event.attempt_id, event.address, event.our_address) == (Kind.CALL_RECEIVED, None, THEIRS, OURS)
    assert event.call is not None
    assert (event.call.direction, event.call.our_number) == ("inbound", OURS)
    assert event.call.status == call_statuses.ENDS.get(call_statuses.STATUSES[status])


STOPS = [
    *sorted(inbound.STOP_WORDS),
    "stop",
    " Stop! ",
    "“STOP”",
    "Opt out.",
    "opt-out",
    "STOP\r\n",
    "s t o p",
    "Stop 🙏",
    "arrêt",
]
NO_STOPS = ["stop please", "don't stop", "the end", "stopped", "weekend", "help", "INFO", "", "👍", "STOP STOP"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((text, Kind.STOPPED) for text in STOPS),
        *((text, Kind.RESUMED) for text in ("START", "start.", "Yes", "UNSTOP", "\tunstop!!")),
        *((text, Kind.REPLIED) for text in NO_STOPS),
    ],
)
def test_what_a_person_wrote(text: str, kind: Kind) -> None:
    event = told({**WRITTEN, "Body": text}, BARE_URL)
    assert (event.kind, event.text, event.attempt_id) == (kind, text, None)
    assert (event.channel, event.address, event.our_address) == (Channel.SMS, THEIRS, OURS)
    assert (event.event_id, event.provider_message_id) == ("SM2:received", "SM2")


@pytest.mark.parametrize(
    ("opt_out_type", "body", "kind"),
    [
        ("STOP", "Basta", Kind.STOPPED),
        ("START", "STOP", Kind.RESUMED),
        ("HELP", "STOP", Kind.REPLIED),
        ("stop", "x", Kind.STOPPED),
        ("", "STOP", Kind.STOPPED),
        ("TOMORROW", "STOP", Kind.STOPPED),
    ],
)
def test_what_twilio_understood_wins_over_the_words(opt_out_type: str, body: str, kind: Kind) -> None:
    assert told({**WRITTEN, "Body": body, "OptOutType": opt_out_type}).kind is kind


def test_media_keep_their_addresses_and_older_requests_have_no_status() -> None:
    media = {"NumMedia": "2", "MediaUrl0": "https://api.twilio.com/a", "MediaUrl1": "https://api.twilio.com/b"}
    event = told({**WRITTEN, **media, "Body": ""})
    assert event.kind is Kind.REPLIED
    assert event.answer["MediaUrl1"] == media["MediaUrl1"]
    assert told({"SmsSid": "SM3", "From": THEIRS, "To": OURS, "Body": "Stop"}).kind is Kind.STOPPED


@pytest.mark.parametrize(
    "said",
    [
        *(
            {},
            {"MessageSid": "SM1"},
            {"MessageStatus": "sent"},
            {"CallSid": "CA1"},
            {"CallSid": "", "CallStatus": "busy"},
        ),
        *({"SmsStatus": "received", "Body": "Hi"}, {"Body": "Hi", "From": THEIRS}),
    ],
)
def test_a_callback_without_a_sid_or_a_status_is_malformed(said: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse(form_callback(said))


def test_a_mark_that_is_none_is_malformed_and_a_status_of_tomorrow_is_no_event() -> None:
    for said in (SENT, CALL):
        with pytest.raises(Malformed):
            parse(form_callback(said, URL.replace(str(ATTEMPT), "x")))
    assert parse(form_callback({**SENT, "MessageStatus": "teleported"})) == []
    assert parse(form_callback({**CALL, "CallStatus": "teleported"})) == []


@pytest.mark.parametrize(
    ("base_url", "webhook_url", "asked"),
    [
        ("https://api.twilio.com", "https://fleet.acme.io/webhooks/twilio/x", True),
        ("https://api.twilio.com", "http://fleet.acme.io/webhooks/twilio/x", True),
        ("https://api.twilio.com", "http://127.0.0.1:8000/webhooks/twilio/x", False),
        ("https://api.twilio.com", "https://my_fleet.acme.io/webhooks/twilio/x", False),
        ("https://api.twilio.com", "", False),
        ("http://127.0.0.1:4900", "http://127.0.0.1:8000/webhooks/twilio/x", True),
    ],
)
@pytest.mark.parametrize(("channel", "payload"), [("sms", {"body": "Hi"}), ("voice", {"say": "Hi"})])
def test_callbacks_are_asked_for_where_twilio_can_reach_us(
    channel: str, payload: dict[str, Any], base_url: str, webhook_url: str, asked: bool
) -> None:
    account = replace(account_of("twilio"), base_url=base_url, webhook_url=webhook_url)
    message = message_of(channel, payload)
    form = parse_qsl(PROVIDERS["twilio"].render(message, account).body.decode(), strict_parsing=True)
    expected = f"{webhook_url}?attempt={message.attempt_id}&message={message.id}{RETRIES}"
    assert [value for name, value in form if name == "StatusCallback"] == ([expected] if asked else [])
    events = [value for name, value in form if name == "StatusCallbackEvent"]
    assert events == (["initiated", "ringing", "answered", "completed"] if asked and channel == "voice" else [])


def test_no_event_shows_whom_it_is_about() -> None:
    events: list[Event] = [told({**WRITTEN, "Body": "my secret"}), told(CALL), told(SENT)]
    assert all(THEIRS not in repr(event) and "secret" not in repr(event) for event in events)
