"""What is read of a vendor's list: which entries count, what they show, and which answers are none."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.channels import Channel
from providers.base import Halted, Rejected, Response, SendError, Unknown
from providers.client import BODY_LIMIT_BYTES
from providers.lookup import Page, Question, Record
from providers.twilio.text import TRIAL_PREFIX, digest
from tests.vendors import PROVIDERS, STAND_IN_URL, account_of, message_of

NUMBER, MARK = "+14155550100", "3d89efda-2d5a-4d2e-9266-f2bb0402deff"
SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
SMS = Question(Channel.SMS, NUMBER, SINCE, UNTIL)
CALL = replace(SMS, channel=Channel.VOICE)
MAIL = replace(SMS, channel=Channel.EMAIL, address="ada@mail.io")
QUESTIONS = [("twilio", SMS), ("twilio", CALL), ("vapi", CALL), ("resend", MAIL)]
each_list = pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=["messages", "calls", "vapi", "resend"])

MESSAGE = {
    "sid": "SM1",
    "date_created": "Sun, 01 Mar 2026 12:00:00 +0000",
    "direction": "outbound-api",
    "from": "+15005550006",
    "messaging_service_sid": None,
    "body": "Hello",
}
FANCY = "Hello \u201cAda\u201d \u2013 it\u2019s on\u2026"
LISTED_CALL = {
    "id": "1",
    "createdAt": "2026-03-01T12:00:00.123Z",
    "type": "outboundPhoneCall",
    "name": MARK,
    "customer": {"number": NUMBER},
    "phoneNumberId": "p",
}
LISTED_MAIL = {
    "id": "1",
    "created_at": "2026-03-01 12:00:00.123456+00",
    "to": ["ada@mail.io"],
    "from": "Acme <hello@acme.io>",
    "subject": "Hello",
}


def read(name: str, question: Question, answer: Any, status: int = 200) -> Page:
    return PROVIDERS[name].lookup_page(question, Response(status, {}, json.dumps(answer).encode()))


def messages(*changes: dict[str, Any], next_page_uri: str | None = None) -> Page:
    return read("twilio", SMS, {"messages": [MESSAGE | change for change in changes], "next_page_uri": next_page_uri})


def calls(*changes: dict[str, Any]) -> list[Record]:
    return list(read("vapi", CALL, [LISTED_CALL | change for change in changes]).records)


def mails(*changes: dict[str, Any]) -> Page:
    return read("resend", MAIL, {"data": [LISTED_MAIL | change for change in changes], "has_more": False})


def form(body: str) -> bytes:
    return PROVIDERS["twilio"].render(message_of("sms", {"body": body}), account_of("twilio")).body


# What counts


def test_only_what_a_request_began_is_a_record_at_twilio() -> None:
    directions = ("inbound", "outbound-api", "outbound-reply", "outbound-call", "outbound-dial")
    page = messages(*({"sid": direction, "direction": direction} for direction in directions))
    assert [record.provider_message_id for record in page.records] == ["outbound-api"]


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
def test_what_twilio_took_and_could_not_deliver_is_a_record(status: str) -> None:
    (record,) = messages({"status": status, "error_code": 30003}).records
    assert record.answer["status"] == status


def test_a_recipient_that_twilio_writes_otherwise_counts() -> None:
    """It was asked for that recipient; its redaction replaces the last digits."""
    assert len(messages({"to": "+1415555XXXX"}, {"to": NUMBER}).records) == 2


def test_what_is_shown_to_be_anothers_call_is_left_out_and_what_is_not_shown_tells_nothing() -> None:
    others: list[dict[str, Any]] = [
        {"customer": {"number": "+14155550199"}},
        {"type": "inboundPhoneCall"},
        {"type": "webCall"},
        {"name": "Monday's campaign"},
    ]
    assert calls(*others) == []
    bare: list[dict[str, Any]] = [{"customer": None}, {"customer": {}}, {"type": None}]
    assert [record.attempt_id for record in calls(*bare)] == [UUID(MARK)] * 3
    assert [record.attempt_id for record in calls({"name": None}, {"name": ""})] == [None, None]


@pytest.mark.parametrize("to", ["ada@mail.io", "Ada@mail.io", "Ada <ada@MAIL.io>", '"Ada, Countess" <ada@mail.io>'])
def test_a_mail_counts_however_its_recipient_is_written(to: str) -> None:
    assert len(mails({"to": ["bea@mail.io", to]}).records) == 1


@pytest.mark.parametrize("to", [[], ["bea@mail.io"], ["ada@mail.io.net"], ["ada@mail.io <bea@mail.io>"]])
def test_a_mail_to_others_is_left_out(to: list[str]) -> None:
    assert mails({"to": to}).records == []


def test_the_second_in_which_the_time_begins_counts_at_twilio() -> None:
    answer = {"messages": [MESSAGE], "next_page_uri": None}
    for since, until, count in ((11, 13, 1), (12, 13, 1), (13, 14, 0), (10, 11, 0)):
        asked = replace(
            SMS, since=SINCE.replace(hour=since, microsecond=900_000), until=UNTIL.replace(day=1, hour=until)
        )
        assert len(read("twilio", asked, answer).records) == count


# What a record shows


@pytest.mark.parametrize(
    ("shown", "sender"),
    [
        ({}, "+15005550006"),
        ({"from": None, "messaging_service_sid": "MG1"}, "MG1"),
        ({"messaging_service_sid": "MG1"}, None),
        ({"from": None}, None),
        ({"from": ""}, None),
    ],
)
def test_a_sender_is_named_only_where_it_is_certain(shown: dict[str, Any], sender: str | None) -> None:
    (record,) = messages(shown).records
    assert record.sender == sender


def test_times_are_aware_and_in_utc() -> None:
    noon = SINCE.replace(hour=12)
    dates = ("Sun, 01 Mar 2026 12:00:00 +0000", "Sun, 01 Mar 2026 12:00:00 -0000", "Sun, 01 Mar 2026 13:00:00 +0100")
    assert [record.created_at for record in messages(*({"date_created": date} for date in dates)).records] == [noon] * 3
    assert [record.created_at for record in calls({"createdAt": "2026-03-01T13:00:00+01:00"})] == [noon]
    assert [one.created_at for one in mails({"created_at": "2026-03-01 12:00:00"}).records] == [noon]


@pytest.mark.parametrize(
    "shown",
    [
        FANCY,
        f'{TRIAL_PREFIX}Hello "Ada" - it\'s on...',
        '  Hello "Ada" -  it\'s on... ',
        'Hello\n"Ada" -\r\nit\'s on...',
        'Hello\u00a0"Ada" - it\u2019s on...\u200b',
    ],
)
def test_what_twilio_may_change_in_a_text_changes_no_digest(shown: str) -> None:
    (record,) = messages({"body": shown}).records
    assert record.digest == PROVIDERS["twilio"].digest(form('Hello "Ada" - it\'s on...'), "Messages.json")
    assert record.digest == PROVIDERS["twilio"].digest(form(FANCY), "Messages.json")


def test_other_texts_have_other_digests() -> None:
    texts = ("Hello", "hello", "Hello!", "Hello 1", "Hello 2", "Hel lo", "Héllo", "Zdravo", "你好", "👍", "👎")
    assert len({digest(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("body", ["", None, " "])
def test_a_redacted_text_has_no_digest(body: str | None) -> None:
    (record,) = messages({"body": body}).records
    assert record.digest is None


def test_a_call_and_a_message_of_media_alone_have_no_digest() -> None:
    media = message_of("sms", {"media_urls": ["https://acme.io/a.png"]})
    assert (
        PROVIDERS["twilio"].digest(PROVIDERS["twilio"].render(media, account_of("twilio")).body, "Messages.json")
        is None
    )
    call = PROVIDERS["twilio"].render(message_of("voice", {"say": "Hello"}), account_of("twilio"))
    assert PROVIDERS["twilio"].digest(call.body, call.path) is None
    assert PROVIDERS["vapi"].digest(b"{}") is None


def test_a_mail_is_digested_by_its_subject_alone() -> None:
    first, again, other = (
        PROVIDERS["resend"].digest(PROVIDERS["resend"].render(message_of("email", payload), account_of("resend")).body)
        for payload in (
            {"subject": "Hello", "text": "one"},
            {"subject": "Hello ", "html": "two"},
            {"subject": "Goodbye", "text": "one"},
        )
    )
    assert first == again != other
    (record,) = mails({}).records
    assert record.digest == first


def test_a_record_keeps_its_answer_out_of_print() -> None:
    (record,) = messages({"body": "a secret"}).records
    assert "a secret" not in repr(record)


# Where the next page is


def test_of_the_next_pages_address_only_its_place_is_followed() -> None:
    uri = f"/2010-04-01/Accounts/AC{'9' * 32}/Messages.json?To=%2B1999&PageSize=1000&Page=1&PageToken=PASM1"
    page = messages({}, next_page_uri=uri)
    request = PROVIDERS["twilio"].lookup_request(SMS, account_of("twilio"), page.next_page)
    first = PROVIDERS["twilio"].lookup_request(SMS, account_of("twilio"))
    assert request.url.partition("?")[0] == first.url.partition("?")[0]
    assert request.url.startswith(f"{STAND_IN_URL}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json?")
    asked = dict(parse_qsl(urlsplit(request.url).query))
    assert asked == {"To": NUMBER, "PageSize": "50", "Page": "1", "PageToken": "PASM1"}


@pytest.mark.parametrize(
    "uri",
    [
        "https://elsewhere.example/2010-04-01/Accounts/AC0/Messages.json?PageToken=x",
        "//elsewhere.example/2010-04-01/Accounts/AC0/Messages.json?PageToken=x",
        "/2010-04-01/Accounts/AC0/Calls.json?PageToken=x",
        "/2010-04-01/Accounts/AC0/Messages.json",
        "/2010-04-01/Accounts/AC0/Messages.json?Page=1",
        "http://[",
        7,
    ],
)
def test_a_next_page_elsewhere_or_nowhere_is_no_answer(uri: Any) -> None:
    with pytest.raises(Unknown):
        messages({}, next_page_uri=uri)


def test_the_last_page_says_so() -> None:
    assert messages({}).next_page is None
    assert messages({}, next_page_uri="").next_page is None


# Which answers are none


@each_list
@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [[]],
        [None],
        {"messages": {}, "calls": {}, "data": {}, "next_page_uri": None, "has_more": False},
        {"messages": [{}], "calls": [{}], "data": [{}], "next_page_uri": None, "has_more": False},
        {"messages": [], "calls": [], "data": [], "has_more": True},
        [{"id": "", "createdAt": "2026-03-01T12:00:00Z"}],
        [{"id": "1", "createdAt": "yesterday"}],
        [{"id": "1", "createdAt": None}],
    ],
)
def test_a_list_that_cannot_be_read_is_unknown_and_nothing_of_it_is_told(
    name: str, question: Question, answer: Any
) -> None:
    with pytest.raises(Unknown) as unreadable:
        read(name, question, answer)
    assert unreadable.value.code == "unreadable_answer"
    assert "yesterday" not in unreadable.value.reason


@each_list
@pytest.mark.parametrize("body", [b"", b"<html>", b"[" + b" " * BODY_LIMIT_BYTES, b'{"messages": [', b"\xff"])
def test_an_answer_that_was_cut_is_unknown(name: str, question: Question, body: bytes) -> None:
    with pytest.raises(Unknown):
        PROVIDERS[name].lookup_page(question, Response(200, {}, body[:BODY_LIMIT_BYTES]))


@each_list
@pytest.mark.parametrize(("status", "kind"), [(401, Halted), (404, Rejected), (500, Unknown), (301, Halted)])
def test_a_refusal_is_decided_by_the_same_tables(
    name: str, question: Question, status: int, kind: type[SendError]
) -> None:
    with pytest.raises(kind) as refused:
        read(name, question, {"message": "no"}, status)
    assert refused.value.http_status == status


keys = st.sampled_from([*MESSAGE, *LISTED_CALL, *LISTED_MAIL, "messages", "calls", "data", "has_more", "next_page_uri"])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
leaves |= st.sampled_from([MARK, NUMBER, "2026-03-01T12:00:00Z", "Sun, 01 Mar 2026 12:00:00 +0000", "ada@mail.io"])
answers: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)
kinds: list[dict[str, Any]] = [MESSAGE, LISTED_CALL, LISTED_MAIL]
entries = st.builds(
    lambda entry, wrong: entry | wrong, st.sampled_from(kinds), st.dictionaries(keys, answers, max_size=2)
)
lists = st.lists(entries, max_size=3).map(
    lambda listed: {"messages": listed, "calls": listed, "data": listed, "has_more": False, "next_page_uri": None}
)


@each_list
@settings(deadline=None)
@given(answer=answers | lists | st.lists(entries, max_size=3))
def test_whatever_is_answered_is_a_page_or_a_decision(name: str, question: Question, answer: Any) -> None:
    try:
        page = read(name, question, answer)
    except SendError:
        return
    for record in page.records:
        assert record.provider_message_id
        assert question.since <= record.created_at <= question.until
        assert record.created_at.tzinfo is UTC
