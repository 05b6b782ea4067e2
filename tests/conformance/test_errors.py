"""What every answer of a vendor means: the tables of error codes, the statuses behind them, and the simulator's words.

The rows below are written from the vendors' own pages, not from the tables that they hold; a row of those that none
of these names fails here.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

from providers.answers import retry_after_seconds
from providers.base import Halted, Later, Outcome, Rejected, Response, SendError, Stopped, Unknown
from tests.samples import message_for
from tests.vendors import PROVIDERS, Vendors, account_of, message_of, request_of, simulated

MAIL = {"subject": "Hello", "text": "Hello"}

RESEND: Mapping[type[SendError], list[tuple[int, str]]] = {
    Rejected: [
        (400, "validation_error"),
        (422, "validation_error"),
        (400, "invalid_idempotency_key"),
        (422, "missing_required_field"),
        (422, "invalid_attachment"),
        (422, "invalid_parameter"),
        (422, "invalid_access"),
        (422, "invalid_region"),
    ],
    Halted: [
        (401, "missing_api_key"),
        (401, "restricted_api_key"),
        (403, "invalid_api_key"),
        (403, "validation_error"),
        (422, "invalid_from_address"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (451, "security_error"),
        (429, "daily_quota_exceeded"),
        (429, "monthly_quota_exceeded"),
    ],
    Later: [(429, "rate_limit_exceeded")],
    Unknown: [
        # Under our key both say that the first request may have been taken; the same bytes are sent again, or nothing.
        (409, "concurrent_idempotent_requests"),
        (409, "invalid_idempotent_request"),
        (500, "application_error"),
        (500, "internal_server_error"),
    ],
}
TWILIO: Mapping[type[SendError], list[tuple[int, int]]] = {
    Rejected: [
        *((400, code) for code in (21211, 21214, 21216, 21217, 21604, 21612, 21614, 63003, 63024)),
        *((400, code) for code in (21602, 21617, 21619, 21620, 21609, 21205, 12100, 35111, 35114, 35115, 35118)),
        *((400, code) for code in (13227, 21215, 21408, 21219, 21608)),
    ],
    Stopped: [(400, 21610)],
    Halted: [
        (401, 20003),
        *((403, code) for code in (20005, 90010)),
        *((404, 20404), (405, 20004)),
        *((400, code) for code in (21210, 21212, 21603, 21606, 21659, 21660, 21661)),
        *((400, code) for code in (21703, 21704, 21705, 63001, 63007)),
        (400, 35125),
        (429, 63038),
    ],
    Later: [(429, 20429), (400, 21611), (400, 22005)],
    Unknown: [(500, 20500), (503, 20503)],
}
VAPI: Mapping[type[SendError], list[tuple[int, str]]] = {
    Rejected: [(400, "customer.number must be a valid phone number"), (404, "Couldn't Find Assistant")],
    Halted: [
        *((401, "Invalid Key"), (402, "Insufficient Credits"), (403, "Forbidden")),
        (404, "Cannot POST /api/call"),
    ],
    Later: [(429, "Too Many Requests"), (400, "Over Concurrency Limit"), (400, "over concurrency limit: 10 of 10")],
    Unknown: [(408, "Request Timeout"), (409, "Conflict"), (500, "Internal Server Error"), (503, "Unavailable")],
}
VAPI_TEXTS = {"over concu": "over_concurrency", "cannot pos": "no_such_path"}


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    async with simulated() as running:
        yield running


def answered(name: str, status: int, body: Any = None, **headers: str) -> Outcome:
    """What an answer to one message means."""
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    provider = PROVIDERS[name]
    (outcome,) = provider.outcomes(request_of(name, message_for(name)), Response(status, names, content))
    return outcome


def rows(table: Mapping[type[SendError], list[tuple[int, Any]]]) -> list[tuple[type[SendError], int, Any]]:
    return [(kind, status, code) for kind, found in table.items() for status, code in found]


def assert_decides(outcome: Outcome, kind: type[SendError], status: int, code: str) -> None:
    assert type(outcome) is kind
    assert (outcome.code, outcome.http_status) == (code, status)
    assert outcome.reason.strip()
    if isinstance(outcome, Later):
        assert not outcome.counted, "the vendor's capacity spends no attempt"


@pytest.mark.parametrize(("kind", "status", "name"), rows(RESEND))
def test_resends_errors(kind: type[SendError], status: int, name: str) -> None:
    body = {"statusCode": status, "name": name, "message": "Because."}
    assert_decides(answered("resend", status, body), kind, status, name)


@pytest.mark.parametrize(("kind", "status", "code"), rows(TWILIO))
def test_twilios_errors(kind: type[SendError], status: int, code: int) -> None:
    body = {"code": code, "message": "Because.", "more_info": "https://twilio.com", "status": status}
    assert_decides(answered("twilio", status, body), kind, status, str(code))


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(("kind", "status", "text"), rows(VAPI))
def test_vapis_errors(kind: type[SendError], status: int, text: str, as_list: bool) -> None:
    code = VAPI_TEXTS.get(text[:10].lower(), f"http_{status}")
    body = {"message": [text, "and more"] if as_list else text, "error": "Why", "statusCode": status}
    assert_decides(answered("vapi", status, body), kind, status, code)


def test_no_row_of_a_table_goes_unnamed_here() -> None:
    named: dict[str, set[Any]] = {
        "resend.errors": {(status, code) if code == "validation_error" else code for _, status, code in rows(RESEND)},
        "twilio.errors": {code for _, _, code in rows(TWILIO)},
        "vapi": {f"http_{status}" for _, status, _ in rows(VAPI)} | set(VAPI_TEXTS.values()),
    }
    for module, codes in named.items():
        assert set(import_module(f"providers.{module}").ERRORS) <= codes


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b"{}", b'"Not Found"', b'{"message": ""}'])
def test_an_answer_that_is_no_error_of_the_vendors_is_about_no_message(provider: str, body: bytes) -> None:
    for status in range(300, 600):
        assert_goes_by_status(answered(provider, status, body), status, own_refusal=Halted)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_code_goes_by_its_status(provider: str) -> None:
    for status in range(300, 600):
        outcome = answered(provider, status, {"name": "new", "code": 99999, "message": "Because."})
        assert_goes_by_status(outcome, status, own_refusal=Rejected)


def assert_goes_by_status(outcome: Outcome, status: int, *, own_refusal: type[SendError]) -> None:
    """Only what certainly was not processed may be sent again; what fails for every message stops the account."""
    kind = own_refusal
    if status < 400 or status in {401, 402, 403}:
        kind = Halted
    elif status in {408, 409, 425, 429} or status >= 500:
        kind = Later if status == 429 else Unknown
    elif status == 413:
        kind = Rejected
    assert type(outcome) is kind, status
    assert isinstance(outcome, SendError)
    assert outcome.http_status == status
    assert outcome.code
    assert outcome.reason


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "Wed, 01 May 2030 10:00:30 GMT", "date": "Wed, 01 May 2030 10:00:00 GMT"}, 30.0),
        ({"retry_after": "Wed, 01 May 2030 10:00:00 GMT", "date": "Wed, 01 May 2030 10:00:30 GMT"}, 0.0),
        ({"retry_after": "Wed, 01 May 2030 10:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "Mon, 01 Jan 2030 00:00:00 +99999999999999999999", "date": "x"}, None),
        ({}, None),
    ],
)
def test_a_vendors_wish_to_wait_is_kept(provider: str, headers: dict[str, str], seconds: float | None) -> None:
    outcome = answered(provider, 429, {"message": "Slow down"}, **headers)
    assert isinstance(outcome, Later)
    assert outcome.after_seconds == seconds


def test_no_text_of_a_header_can_break_the_reading() -> None:
    for text in ("", " ", ",", "Mon, 01", "1e999", "٣", "\x00", "Mon, 99 Foo 99999999999 99:99:99 GMT", "9" * 5000):
        assert retry_after_seconds({"retry-after": text, "date": text}) in {None, 0.0, 3.0}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reason_shows_no_address_since_a_halt_is_shown_with_every_message(provider: str) -> None:
    body = {"name": "x", "message": "The number +14155550100 of ada.lovelace@mail.io is not enabled"}
    outcome = answered(provider, 403, body)
    assert isinstance(outcome, Halted)
    assert "not enabled" in outcome.reason
    assert "1415555" not in outcome.reason
    assert "lovelace" not in outcome.reason


@pytest.mark.parametrize(
    ("sender", "to", "kind", "code"),
    [
        ("", "ada@example.com", Rejected, "validation_error"),
        ("", "rejected+1@resend.dev", Rejected, "validation_error"),
        ("nobody", "ada@mail.io", Rejected, "invalid_from_address"),
        ("ada@unverified.acme.io", "ada@mail.io", Rejected, "validation_error"),
        ("", "too-many+1@resend.dev", Later, "rate_limit_exceeded"),
        ("", "server-error+1@resend.dev", Unknown, "internal_server_error"),
        ("", "server-error-after-accept+1@resend.dev", Unknown, "internal_server_error"),
    ],
)
async def test_mails_that_the_simulator_marks(
    vendors: Vendors, sender: str, to: str, kind: type[SendError], code: str
) -> None:
    (outcome,) = await vendors.send("resend", message_of("email", {**MAIL, "from": sender}, to))
    assert (type(outcome), getattr(outcome, "code", None)) == (kind, code)


@pytest.mark.parametrize(
    ("name", "channel", "sender", "to", "kind", "code"),
    [
        *(("twilio", "sms", "", f"+1500555000{n}", Rejected, c) for n, c in ((1, 21211), (2, 21612))),
        ("twilio", "sms", "", "+15005550004", Stopped, 21610),
        ("twilio", "sms", "", "+15005550009", Rejected, 21614),
        ("twilio", "sms", "", "+15005550003", Rejected, 21408),
        ("twilio", "sms", "+15005550001", "", Halted, 21212),
        ("twilio", "sms", "+15005550007", "", Halted, 21606),
        ("twilio", "sms", "+15005550008", "", Later, 21611),
        *(("twilio", "voice", "", f"+1500555000{n}", Rejected, c) for n, c in ((1, 21217), (2, 21214), (4, 21216))),
        ("twilio", "voice", "", "+15005550003", Rejected, 21215),
        ("twilio", "voice", "+15005550001", "", Halted, 21212),
        ("vapi", "voice", "", "+15005550001", Rejected, "http_400"),
        ("vapi", "voice", "", "+15005550002", Later, "over_concurrency"),
        ("vapi", "voice", "", "+15005550003", Halted, "http_402"),
        *(("twilio", c, "", "+15001239400", Rejected, 21211 if c == "sms" else 21217) for c in ("sms", "voice")),
        *(("twilio", c, "", "+15001239429", Later, 20429) for c in ("sms", "voice")),
        *(("twilio", c, "", "+15001239500", Unknown, 20500) for c in ("sms", "voice")),
        ("vapi", "voice", "", "+15001239400", Rejected, "http_400"),
        ("vapi", "voice", "", "+15001239429", Later, "http_429"),
        ("vapi", "voice", "", "+15001239500", Unknown, "http_500"),
    ],
)
async def test_numbers_that_the_vendors_or_the_simulator_mark(
    vendors: Vendors, name: str, channel: str, sender: str, to: str, kind: type[SendError], code: str | int
) -> None:
    message = message_of(channel, {"body": "Hello", "say": "Hello"}, to or None)
    (outcome,) = await vendors.send(name, message, **({"number": sender} if sender else {}))
    assert (type(outcome), getattr(outcome, "code", None)) == (kind, str(code))


@pytest.mark.parametrize("name", ["validation_error", "invalid_from_address"])
def test_a_sender_of_its_own_is_refused_with_its_message_and_the_accounts_sender_halts_the_account(name: str) -> None:
    status = 403 if name == "validation_error" else 422
    response = Response(
        status, {}, json.dumps({"name": name, "message": "The acme.io domain is not verified"}).encode()
    )
    for sender, kind in (("ada@acme.io", Rejected), ("", Halted)):
        for count in (1, 3):
            mails = [message_of("email", {**MAIL, "from": sender}, number=number) for number in range(count)]
            outcomes = PROVIDERS["resend"].outcomes(request_of("resend", *mails), response)
            together = Later if kind is Rejected and count > 1 else kind
            assert [type(outcome) for outcome in outcomes] == [together] * count


@pytest.mark.parametrize("code", [21212, 21606, 21659])
@pytest.mark.parametrize(
    ("sender", "kind"), [("12345", Rejected), ("Acme", Rejected), ("+15005550006", Halted), ("MG" + "a" * 32, Halted)]
)
def test_a_sender_that_reaches_one_country_is_refused_with_its_message(
    code: int, sender: str, kind: type[SendError]
) -> None:
    request = request_of("twilio", message_of("sms", {"body": "Hello"}), account=account_of("twilio", number=sender))
    (outcome,) = PROVIDERS["twilio"].outcomes(request, Response(400, {}, json.dumps({"code": code}).encode()))
    assert type(outcome) is kind


def test_what_all_tenants_of_an_account_read_holds_no_word_of_the_vendors() -> None:
    shared = account_of("resend")
    outcome = answered("resend", 403, {"name": "validation_error", "message": "The acme.io domain is not verified"})
    assert isinstance(outcome, Halted)
    assert "acme.io" in outcome.reason_under(replace(shared, tenant_id=UUID(int=7)))
    assert outcome.reason_under(shared) == "verify the sender's domain at Resend"
    other = answered("resend", 403, {"message": "acme.io has no credit"})
    assert isinstance(other, Halted)
    assert "acme" not in other.reason_under(shared)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_revoked_key_halts_the_account(vendors: Vendors, name: str) -> None:
    revoked = {"key": "revoked", "authorization": "Basic cmV2b2tlZDpyZXZva2Vk"}
    (outcome,) = await vendors.send(name, message_for(name), **revoked)
    assert isinstance(outcome, Halted)
    assert outcome.reason
