"""Twilio's callbacks: asked for where Twilio can reach us, believed only when signed, and read whatever they hold."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from config.vocabulary import KINDS, Kind, Proof
from providers.callbacks import BadSignature, Callback, Event, Malformed
from providers.twilio.callbacks import CALL_STATUSES, MESSAGE_STATUSES, RETRIES
from simulator.twilio_callbacks import posting
from tests.vendors import PROVIDERS, account_of, message_of

TOKEN = "simulated"
ATTEMPT, MESSAGE = uuid4(), uuid4()
URL = f"https://fleet.acme.io/webhooks/twilio/{UUID(int=0)}?attempt={ATTEMPT}&message={MESSAGE}"
SENT = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+14155550100", "Body": ""}
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def callback(
    said: Mapping[str, str] | bytes, url: str = URL, *, signed_url: str | None = None, signature: str | None = None,
    content_type: str = FORM,
) -> Callback:  # fmt: skip
    """A callback as Twilio makes it, signed by Twilio's own library."""
    body = said if isinstance(said, bytes) else urlencode(said).encode()
    validator = RequestValidator(TOKEN)
    parameters = {} if isinstance(said, bytes) else dict(said)
    own = validator.compute_signature(signed_url or url, parameters) if signature is None else signature
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}
    return Callback(url, query, {"x-twilio-signature": own, "content-type": content_type}, body)


def verify(one: Callback) -> None:
    PROVIDERS["twilio"].verify(one, account_of("twilio"), now=0.0)


def parse(one: Callback) -> list[Event]:
    return list(PROVIDERS["twilio"].parse(one))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(texts.filter(bool), texts, max_size=8))
def test_what_twilios_own_library_signs_is_believed(said: dict[str, str]) -> None:
    verify(callback(said))


@given(st.dictionaries(texts.filter(bool), texts, max_size=8), st.text(max_size=40))
def test_what_it_did_not_sign_is_not(said: dict[str, str], forged: str) -> None:
    with pytest.raises(BadSignature):
        verify(callback(said, signature=forged))
    true = callback(said)
    with pytest.raises(BadSignature):
        verify(replace(true, body=true.body + b"&MessageStatus=delivered"))
    with pytest.raises(BadSignature):
        verify(replace(true, url=true.url.replace(str(MESSAGE), str(uuid4()))))


@pytest.mark.parametrize(
    "signed",
    [URL.replace("acme.io", "acme.io:443"), URL + RETRIES, URL],
    ids=["port", "fragment", "plain"],
)
def test_the_forms_of_our_address_that_twilio_may_sign(signed: str) -> None:
    verify(callback(SENT, signed_url=signed))
    with_port = URL.replace("acme.io", "acme.io:8443")
    verify(callback(SENT, with_port, signed_url=URL))
    with pytest.raises(BadSignature):
        verify(callback(SENT, signed_url=with_port))


def test_another_accounts_token_opens_nothing() -> None:
    with pytest.raises(BadSignature):
        PROVIDERS["twilio"].verify(callback(SENT), account_of("twilio", auth_token="another"), now=0.0)


def test_a_json_body_is_bound_by_its_digest() -> None:
    body = orjson.dumps(SENT)
    url = f"{URL}&bodySHA256={hashlib.sha256(body).hexdigest()}"
    true = callback(body, url, content_type="application/json")
    verify(true)
    assert parse(true)[0].kind is Kind.ACCEPTED
    with pytest.raises(BadSignature):
        verify(replace(true, body=orjson.dumps({**SENT, "MessageStatus": "delivered"})))


@given(
    st.binary(max_size=200), st.sampled_from([FORM, "application/json", "", "text/plain; \xff"]), st.text(max_size=30)
)
def test_any_bytes_are_refused_or_read_and_never_crash(body: bytes, content_type: str, url: str) -> None:
    for address in (URL, url):
        one = Callback(address, {}, {"content-type": content_type, "x-twilio-signature": url}, body)
        with pytest.raises((BadSignature, Malformed)):
            verify(one)
        with suppress(Malformed):
            assert all(isinstance(event, Event) for event in parse(one))


@given(st.dictionaries(st.sampled_from(["MessageSid", "CallSid", "MessageStatus", "CallStatus", "ErrorCode"]), texts))
def test_any_fields_are_refused_or_events(said: dict[str, str]) -> None:
    try:
        events = parse(callback(said))
    except Malformed:
        assert not (said.get("CallSid") and said.get("CallStatus"))
        return
    assert len(events) <= 1


@pytest.mark.parametrize(("status", "kind"), MESSAGE_STATUSES.items())
def test_each_status_of_a_message(status: str, kind: Kind) -> None:
    (event,) = parse(callback({**SENT, "MessageStatus": status, "ErrorCode": "30003"}))
    assert (event.kind, event.provider_message_id, event.attempt_id) == (kind, "SM1", ATTEMPT)
    assert event.event_id == f"SM1:{status}:30003"
    assert event.code == ("30003" if KINDS[kind].proves is Proof.UNDELIVERED else None)
    assert event.answer["To"] == SENT["To"]


@pytest.mark.parametrize(("status", "kind"), CALL_STATUSES.items())
def test_each_status_of_a_call(status: str, kind: Kind) -> None:
    (event,) = parse(callback({"CallSid": "CA1", "CallStatus": status}))
    assert event.kind is kind
    expected = {"busy": "no_answer", "no-answer": "no_answer"}.get(status, status)
    assert (event.code, bool(event.reason)) == (
        (expected, True) if KINDS[kind].proves is Proof.UNDELIVERED else (None, False)
    )


@pytest.mark.parametrize("said", [{}, {"MessageSid": "SM1"}, {"MessageStatus": "sent"}, {"CallSid": "CA1"}])
def test_a_callback_without_a_sid_or_a_status_is_malformed(said: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse(callback(said))


def test_a_mark_that_is_none_is_malformed_and_a_status_of_tomorrow_is_no_event() -> None:
    with pytest.raises(Malformed):
        parse(callback(SENT, URL.replace(str(ATTEMPT), "x")))
    assert parse(callback({**SENT, "MessageStatus": "teleported"})) == []


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
    assert events == (["initiated", "completed"] if asked and channel == "voice" else [])


def test_the_simulator_signs_as_twilio_does() -> None:
    posted = posting(URL + RETRIES, SENT, TOKEN)
    assert (posted.url, dict(parse_qsl(posted.body.decode(), keep_blank_values=True))) == (URL, SENT)
    signature = posted.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(URL, SENT, signature)
