"""Vapi's server messages: asked for with a proof, believed when they prove it, and read whatever they hold."""

import hashlib
import hmac
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.base import Account, Response, SendError, Unknown
from providers.callbacks import BadSignature, Call, Callback, Event, Malformed
from providers.signatures import TOLERANCE_SECONDS
from providers.vapi.callbacks import REPORT, STATUS, STATUSES, token
from providers.vapi.endings import ENDINGS, cause, kind_of
from tests.conformance.openapi import Spec, needs_specs
from tests.vendors import PROVIDERS, account_of, message_of

VAPI = PROVIDERS["vapi"]
SECRET, NOW = "the secret of the callbacks", 1_790_000_000
ACCOUNT = account_of("vapi", webhook_secret="of-old of-now")
ATTEMPT, MESSAGE = uuid4(), uuid4()
CALL: dict[str, Any] = {
    "id": "c1",
    "type": "outboundPhoneCall",
    "name": str(ATTEMPT),
    "phoneNumberId": "n1",
    "phoneNumber": {"number": "+15005550006"},
    "customer": {"number": "+14155550100", "externalId": str(MESSAGE)},
    "assistantOverrides": {"metadata": {"message_id": str(MESSAGE)}, "server": {"headers": {"X-Vapi-Secret": "t"}}},
}
END: dict[str, Any] = {
    "endedReason": "customer-ended-call",
    "startedAt": "2026-02-22T23:41:11.000Z",
    "endedAt": "2026-02-22T23:42:13.600Z",
    "analysis": {"summary": "They agreed.", "structuredData": {"sentiment": "positive"}},
    "artifact": {"transcript": "AI: Hello.\nUser: Yes.", "messages": [{"role": "bot"}] * 5},
}


def message(type_: str = REPORT, call: dict[str, Any] | None = None, **said: Any) -> bytes:
    return orjson.dumps({"message": {"type": type_, "call": CALL | (call or {}), **said}})


def parse(body: bytes, attempt: object = None) -> list[Event]:
    return list(VAPI.parse(Callback("", query_of(attempt), {}, body)))


def query_of(attempt: object) -> dict[str, str]:
    return {"attempt": str(attempt)} if attempt is not None else {}


def one(body: bytes) -> Event:
    (event,) = parse(body)
    return event


def verify(
    headers: dict[str, str],
    body: bytes = b"{}",
    account: Account = ACCOUNT,
    now: float = NOW,
    attempt: object = None,
) -> None:
    VAPI.verify(Callback("", query_of(attempt), headers, body), account, now=now)


def refused(
    headers: dict[str, str],
    body: bytes = b"{}",
    account: Account = ACCOUNT,
    now: float = NOW,
    attempt: object = None,
) -> None:
    with pytest.raises(BadSignature):
        verify(headers, body, account, now, attempt)


def signed(body: bytes, secret: str = "of-now", timestamp: object = NOW) -> dict[str, str]:
    """Vapi's HMAC credential with its defaults, by the vendor's description and without our code."""
    text = f"{timestamp}.".encode() + body
    return {
        "x-timestamp": str(timestamp),
        "x-signature": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest(),
    }


# --- proofs


@given(st.binary(max_size=100), st.sampled_from(["of-now", "of-old"]), st.sampled_from([NOW, NOW * 1000 + 7]))
def test_what_is_signed_is_believed(body: bytes, secret: str, timestamp: int) -> None:
    verify(signed(body, secret, timestamp), body)
    refused(signed(body, "another", timestamp), body)


@given(st.integers(0, 100), st.integers(0, 255), st.sampled_from(["body", "x-timestamp", "x-signature"]))
def test_every_change_of_one_byte_is_refused(place: int, byte: int, part: str) -> None:
    body = b'{"message":{"type":"status-update"}}'
    headers = signed(body)
    old = body if part == "body" else headers[part].encode()
    new = old[: place % len(old)] + bytes([byte]) + old[place % len(old) + 1 :]
    if new != old:
        changed = headers if part == "body" else {**headers, part: new.decode("latin-1")}
        refused(changed, new if part == "body" else body)


def test_a_clock_may_differ_a_little() -> None:
    for age in (-TOLERANCE_SECONDS, TOLERANCE_SECONDS):
        verify(signed(b"{}"), now=NOW + age)
    for age in (-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1):
        refused(signed(b"{}"), now=NOW + age)
        refused(signed(b"{}", timestamp=NOW * 1000), now=NOW + age)


@pytest.mark.parametrize("secret", ["of-now", "of-old"])
def test_a_secret_as_a_token(secret: str) -> None:
    verify({"authorization": f"Bearer {secret}"})
    verify({"authorization": f"bearer {secret}"})
    verify({"x-vapi-secret": secret})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": "Basic of-now"},
        {"authorization": "of-now"},
        {"authorization": "Bearer of-now "},
        {"authorization": "Bearer of-old of-now"},
        {"x-vapi-secret": ""},
        {"x-vapi-secret": "of-noW"},
        {"x-vapi-secret": "\udcff"},
        {"x-signature": "", "x-vapi-secret": "of-now"},
        {"x-signature": "0" * 64, "x-timestamp": str(NOW)},
        {"x-signature": "0" * 64},
    ],
)
def test_what_proves_nothing_is_refused(headers: dict[str, str]) -> None:
    refused(headers)


@pytest.mark.parametrize("secret", ["", "  "])
def test_without_a_secret_the_door_is_shut(secret: str) -> None:
    shut = account_of("vapi", webhook_secret=secret)
    for account in (shut, account_of("vapi")):
        refused({"authorization": "Bearer "}, account=account)
        refused({"x-vapi-secret": secret}, account=account)
        refused(signed(b"{}", ""), account=account)
        refused({"x-vapi-secret": token("", ATTEMPT)}, message(), account=account, attempt=ATTEMPT)


def test_the_token_of_a_call_proves_callbacks_of_that_calls_address_alone() -> None:
    for secret in ("of-old", "of-now"):
        verify({"x-vapi-secret": token(secret, ATTEMPT)}, message(), attempt=ATTEMPT)
    for address in (None, uuid4(), "", "x"):
        refused({"x-vapi-secret": token("of-now", ATTEMPT)}, message(), attempt=address)
    refused({"x-vapi-secret": token("another", ATTEMPT)}, message(), attempt=ATTEMPT)
    refused({"authorization": f"Bearer {token('of-now', ATTEMPT)}"}, message(), attempt=ATTEMPT)


def test_nothing_is_parsed_before_it_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsing(*_: object) -> Any:
        raise AssertionError("the body is parsed")

    monkeypatch.setattr("orjson.loads", parsing)
    refused({"x-vapi-secret": "x"}, message(), attempt=ATTEMPT)
    refused({"x-vapi-secret": token("another", ATTEMPT)}, message(), attempt=ATTEMPT)


@pytest.mark.parametrize(
    ("call", "address"),
    [
        ({"name": str(uuid4())}, ATTEMPT),
        ({"name": None}, ATTEMPT),
        ({"type": "inboundPhoneCall"}, ATTEMPT),
        ({"type": "inboundPhoneCall", "name": None}, ATTEMPT),
        ({"type": "webCall"}, ATTEMPT),
        ({}, uuid4()),
        ({}, ""),
        ({"name": None}, "x"),
    ],
)
def test_the_address_of_an_attempt_takes_nothing_of_another_call(call: dict[str, Any], address: object) -> None:
    for body in (message(call=call, **END), message(STATUS, call=call, status="in-progress")):
        with pytest.raises(Malformed):
            parse(body, address)


def test_the_address_of_an_attempt_takes_what_is_said_of_it() -> None:
    for body in (message(**END), message(STATUS, status="in-progress"), message(call={"type": None}, **END)):
        assert [event.attempt_id for event in parse(body, ATTEMPT)] == [ATTEMPT]


def test_what_is_said_under_one_attempt_takes_no_place_of_what_is_said_under_another() -> None:
    assert one(message(**END)).event_id != one(message(call={"name": str(uuid4())}, **END)).event_id


@given(
    st.dictionaries(
        st.sampled_from(["authorization", "x-vapi-secret", "x-signature", "x-timestamp"]),
        st.text("Bearo 17-é\udcff", max_size=20),
    ),
    st.binary(max_size=50),
)
def test_anything_else_is_refused_and_nothing_breaks(headers: dict[str, str], body: bytes) -> None:
    refused(headers, body)


# --- asked for


@pytest.mark.parametrize(
    ("base_url", "webhook_url", "secret", "asked"),
    [
        ("https://api.vapi.ai", "https://fleet.acme.io/webhooks/vapi/x", SECRET, True),
        ("https://api.vapi.ai", "https://my_fleet.acme.io/webhooks/vapi/x", SECRET, True),
        ("https://api.vapi.ai", "http://127.0.0.1:8000/webhooks/vapi/x", SECRET, False),
        ("https://api.vapi.ai", "", SECRET, False),
        ("https://api.vapi.ai", "https://fleet.acme.io/webhooks/vapi/x", "", False),
        ("http://127.0.0.1:4900", "http://127.0.0.1:8000/webhooks/vapi/x", SECRET, True),
    ],
)
def test_callbacks_are_asked_for_where_vapi_can_reach_us_and_prove_it(
    base_url: str, webhook_url: str, secret: str, asked: bool
) -> None:
    account = replace(account_of("vapi", webhook_secret=secret), base_url=base_url, webhook_url=webhook_url)
    asking = message_of("voice", {"variables": {"server": "eve"}})
    call = json.loads(VAPI.render(asking, account).body)["assistantOverrides"]
    assert ("server" in call, "serverMessages" in call) == (asked, asked)
    if asked:
        address = f"{webhook_url}?attempt={asking.attempt_id}"
        assert (call["server"]["url"], call["serverMessages"]) == (address, [STATUS, REPORT])
        proof = call["server"]["headers"]["X-Vapi-Secret"]
        assert SECRET not in json.dumps(call)
        verify({"x-vapi-secret": proof}, account=account, attempt=asking.attempt_id)


@needs_specs
def test_what_asks_for_callbacks_is_allowed_by_the_vendors_file() -> None:
    account = replace(account_of("vapi", webhook_secret=SECRET), webhook_url="http://127.0.0.1:8000/webhooks/vapi/x")
    body = json.loads(VAPI.render(message_of("voice", {}), account).body)
    assert "server" in body["assistantOverrides"]
    assert Spec.of("vapi").request_errors("POST", "/call", "application/json", body) == []


# --- read


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_each_status_of_a_call(status: str, kind: Kind) -> None:
    event = one(message(STATUS, status=status, timestamp=1_790_000_000_500))
    assert (event.kind, event.event_id, event.call) == (kind, f"c1:{ATTEMPT}:{STATUS}:{status}", None)
    assert (event.provider_message_id, event.message_id, event.attempt_id) == ("c1", MESSAGE, ATTEMPT)
    assert event.address == "+14155550100"
    assert event.occurred_at == datetime.fromtimestamp(1_790_000_000.5, UTC)


def test_a_report_is_the_end_and_the_whole_call() -> None:
    event = one(message(**END))
    assert (event.kind, event.event_id, event.code) == (Kind.CALL_ENDED, f"c1:{ATTEMPT}:{REPORT}:ended", None)
    assert (event.message_id, event.attempt_id) == (MESSAGE, ATTEMPT)
    assert event.occurred_at == datetime(2026, 2, 22, 23, 42, 13, 600000, UTC)
    assert event.call == Call(
        call_id="c1",
        duration_seconds=63,
        transcript="AI: Hello.\nUser: Yes.",
        summary="They agreed.",
        sentiment="positive",
        status="completed",
        our_number="+15005550006",
        number_id="n1",
    )
    assert "X-Vapi-Secret" not in json.dumps(event.answer), "what proves a callback is not kept with it"


def test_the_same_report_twice_has_one_id_whatever_its_addresses() -> None:
    first, again = (one(message(**END, recordingUrl=f"https://x/{one_}")) for one_ in range(2))
    assert first.event_id == again.event_id


def test_a_status_update_may_tell_the_end_too() -> None:
    event = one(message(STATUS, status="ended", endedReason="customer-busy"))
    assert (event.kind, event.event_id, event.code) == (Kind.NO_ANSWER, f"c1:{ATTEMPT}:{STATUS}:ended", "no_answer")
    assert event.call is not None
    assert (event.call.status, event.call.transcript) == ("no_answer", None)


@pytest.mark.parametrize(("prefix", "kind"), ENDINGS.items())
def test_each_row_of_the_endings(prefix: str, kind: Kind) -> None:
    for reason in {prefix, prefix + "-or-more"} if prefix != "voicemail" else {prefix}:
        event = one(message(**END | {"endedReason": reason}))
        assert event.kind is kind
        assert event.code == ("no_answer" if kind is Kind.NO_ANSWER else None)
        assert event.call is not None
        assert event.call.status == ("no_answer" if kind is Kind.NO_ANSWER else "completed")


@pytest.mark.parametrize(
    "reason", ["pipeline-error-openai-llm-failed", "manually-canceled", "worker-shutdown", "assistant-not-found", ""]
)
def test_every_other_reason_is_a_failed_call(reason: str) -> None:
    event = one(message(**END | {"endedReason": reason}))
    assert (event.kind, event.code) == (Kind.CALL_FAILED, reason or "failed")
    assert event.reason
    assert event.call is not None
    assert event.call.status == "failed"


@needs_specs
def test_every_row_is_of_a_reason_that_vapi_has_and_faults_are_failures() -> None:
    schema = Spec.of("vapi")._document["components"]["schemas"]["Call"]["properties"]["endedReason"]
    for prefix in ENDINGS:
        assert any(reason.startswith(prefix) for reason in schema["enum"]), prefix
    for reason in schema["enum"]:
        kind = kind_of(reason)
        assert (cause(reason, kind)[0] is None) == (KINDS[kind].proves is Proof.DELIVERED)
        if "error" in reason and "sip-4" not in reason:
            assert kind is Kind.CALL_FAILED, reason


@pytest.mark.parametrize("speaker", ["assistantOverrides", "assistant"])
def test_a_voicemail_that_was_spoken_to_is_a_call_that_took_place(speaker: str) -> None:
    said = END | {"endedReason": "voicemail"}
    assert one(message(**said)).reason == "a voicemail answered, and nothing was said to it"
    spoken = one(message(call={speaker: {"voicemailMessage": "Call us back."}}, **said))
    assert (spoken.kind, spoken.code) == (Kind.CALL_ENDED, None)


def test_a_call_to_us_is_received_and_is_no_message() -> None:
    inbound = {"type": "inboundPhoneCall", "name": None, "customer": {"number": "+14155550199"}}
    event = one(message(call=inbound, **END))
    assert (event.kind, event.channel) == (Kind.CALL_RECEIVED, Channel.VOICE)
    assert (event.address, event.our_address) == ("+14155550199", "+15005550006")
    assert (event.message_id, event.attempt_id, event.code) == (None, None, None)
    assert event.call is not None
    assert (event.call.direction, event.call.status, event.call.number_id) == ("inbound", "completed", "n1")
    assert parse(message(STATUS, call=inbound, status="in-progress")) == []


@pytest.mark.parametrize(
    "body",
    [
        message("transcript"),
        message("tool-calls"),
        message(STATUS, status="not-found"),
        message(STATUS, status="of-tomorrow"),
        message(call={"type": "webCall"}, **END),
        message(call={"type": ["odd"]}, **END),
        orjson.dumps({"message": {}}),
    ],
)
def test_what_is_about_no_call_of_ours_is_no_event(body: bytes) -> None:
    assert parse(body) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"message":7}', message(STATUS), message(STATUS, status=7), message(call={"id": ""})],
)
def test_what_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


def test_the_marks_of_others_are_none_of_ours() -> None:
    event = one(message(call={"name": "Monday", "customer": {"externalId": "7"}, "assistantOverrides": None}, **END))
    assert (event.provider_message_id, event.message_id, event.attempt_id) == ("c1", None, None)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text("abc\0-", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CALL, *END, "number"]), inner),
    max_leaves=8,
)


@given(
    st.sampled_from([STATUS, REPORT]), st.dictionaries(st.sampled_from([*CALL, "assistant"]), values),
    st.dictionaries(st.sampled_from([*END, "status", "timestamp", "phoneNumber"]), values),
)  # fmt: skip
def test_any_content_is_read_or_malformed(type_: str, call: Any, said: Any) -> None:
    with suppress(Malformed):
        assert len(parse(message(type_, call, **said))) <= 1


@given(st.binary(max_size=100) | values.map(lambda value: orjson.dumps({"message": value})))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        parse(body)


# --- asked about


def answered(call: Any, status: int = 200) -> list[Event]:
    return list(VAPI.status_events(Channel.VOICE, Response(status, {}, orjson.dumps(call))))


def test_a_call_is_asked_about_by_its_id() -> None:
    request = VAPI.status_request("c1/../x", Channel.VOICE, ACCOUNT)
    assert (request.method, request.url) == ("GET", f"{ACCOUNT.base_url}/call/c1%2F..%2Fx")
    assert request.headers == {"Authorization": "Bearer simulated"}


def test_an_ended_call_is_the_event_that_its_report_would_have_been() -> None:
    (asked,) = answered({**CALL, **END, "status": "ended"})
    told = one(message(**END))
    assert replace(asked, answer=None) == replace(told, answer=None)


@pytest.mark.parametrize("status", ["scheduled", "queued", "ringing", "in-progress", "forwarding"])
def test_a_call_that_is_not_over_is_no_event(status: str) -> None:
    assert answered({**CALL, "status": status}) == []


@pytest.mark.parametrize("call", [[], {}, {"id": "c1"}, {"status": "ended"}, None, {"id": 7, "status": "ended"}])
def test_an_answer_without_a_call_tells_nothing(call: Any) -> None:
    with pytest.raises(Unknown):
        answered(call)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_an_error_tells_nothing(status: int) -> None:
    with pytest.raises(SendError):
        answered({"message": "no", "statusCode": status}, status)
