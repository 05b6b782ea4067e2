"""Resend: what a mail may hold at the boundary, who it comes from, and the way back from a batch's answer."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import Accepted, Halted, Later, Outcome, Rejected, Response, Unknown
from providers.resend.mail import ATTACHMENTS_LIMIT, SUBJECT_LIMIT, TAGS_LIMIT
from tests.vendors import PROVIDERS, SEND_KEY, account_of, message_of, request_of, settings_of

MAIL: dict[str, Any] = {"subject": "Hello", "text": "Hello"}
TENANT = UUID(int=7)
RESEND = PROVIDERS["resend"]


def rendered(**fields: Any) -> dict[str, Any]:
    """The mail that a payload with these fields makes."""
    mail: dict[str, Any] = json.loads(RESEND.render(message_of("email", {**MAIL, **fields}), account_of("resend")).body)
    return mail


def refused(**fields: Any) -> str:
    """The code with which a payload with these fields is refused."""
    with pytest.raises(Rejected) as error:
        rendered(**fields)
    return error.value.code


def sender_of(address: str, name: str) -> str:
    """The sender that a tenant's settings make."""
    row = {"api_key_encrypted": "re_1", "from_email": address, "from_name": name}
    return RESEND.account_of_tenant(TENANT, row, settings_of("resend", {})).credentials["from"]


def test_a_mail_goes_to_one_recipient_with_tags_that_find_it_again() -> None:
    message = message_of("email", MAIL)
    assert rendered() == {
        "from": "delivery@fleet.invalid",
        "to": ["ada@mail.io"],
        "subject": "Hello",
        "text": "Hello",
        "tags": [{"name": "message_id", "value": str(message.id)}, {"name": "send_key", "value": str(SEND_KEY)}],
    }


def test_a_subject_is_as_long_as_a_line_may_be() -> None:
    assert rendered(subject="x" * SUBJECT_LIMIT)["subject"] == "x" * SUBJECT_LIMIT
    assert refused(subject="x" * (SUBJECT_LIMIT + 1)) == "subject_too_long"


@pytest.mark.parametrize("field", ["subject", "from", "reply_to"])
@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r", "\u2028", "\x85"], ids=ascii)
def test_nothing_of_a_header_breaks_out_of_its_line(field: str, break_: str) -> None:
    for text in (f"Hello{break_}Bcc: eve@mail.io", f"Hello{break_}"):
        assert refused(**{field: text}) == f"invalid_{field}"
        assert refused(headers={"X-Campaign": text}) == "invalid_headers"
        assert refused(headers={f"X-Campaign{break_}": "spring"}) == "invalid_headers"
        assert refused(attachments=[{"content": "SGVsbG8=", "filename": text}]) == "invalid_attachments"
        assert refused(reply_to=["help@acme.io", text]) == "invalid_reply_to"


@pytest.mark.parametrize("name", ["To", "cc", "BCC", "From", "Sender", "reply-to", "Subject", "", "X Y", "X:", "Ü"])
def test_a_header_may_not_do_what_a_field_does(name: str) -> None:
    assert refused(headers={name: "eve@mail.io"}) == "invalid_headers"


@pytest.mark.parametrize("value", ["", " ", None, 7, ["spring"]])
def test_a_header_is_text(value: Any) -> None:
    assert refused(headers={"X-Campaign": value}) == "invalid_headers"


@pytest.mark.parametrize("field", ["cc", "bcc"])
def test_copies_are_messages_of_their_own(field: str) -> None:
    assert refused(**{field: ["eve@mail.io"]}) == f"unsupported_{field}"
    assert refused(**{field: "eve@mail.io"}) == f"unsupported_{field}"
    assert field not in rendered(**{field: []})


def test_tags_up_to_what_is_left_beside_ours() -> None:
    tags = [{"name": f"n{number}", "value": "a-_Z9"} for number in range(TAGS_LIMIT)]
    assert len(rendered(tags=tags)["tags"]) == 75
    assert refused(tags=[*tags, tags[0]]) == "too_many_tags"


@pytest.mark.parametrize(
    "tag",
    [
        *("spring", {}, {"name": "a"}, {"name": "a", "value": "b", "more": "c"}, {"name": "a", "value": 7}),
        *({"name": "", "value": "b"}, {"name": "a", "value": "b\n"}, {"name": "a", "value": "b c"}),
        *({"name": "a" * 257, "value": "b"}, {"name": "message_id", "value": "b"}, {"name": "send_key", "value": "b"}),
    ],
)
def test_a_tag_that_resend_would_refuse_or_that_is_ours_is_refused(tag: Any) -> None:
    assert refused(tags=[tag]) == "invalid_tags"


def test_attachments_up_to_the_limit_travel_alone() -> None:
    one = {"filename": "a.txt", "content": "SGVsbG8=", "unknown": "dropped"}
    part = RESEND.render(message_of("email", {**MAIL, "attachments": [one] * ATTACHMENTS_LIMIT}), account_of("resend"))
    assert not part.batchable
    assert json.loads(part.body)["attachments"] == [{"filename": "a.txt", "content": "SGVsbG8="}] * ATTACHMENTS_LIMIT
    assert refused(attachments=[one] * (ATTACHMENTS_LIMIT + 1)) == "too_many_attachments"


@pytest.mark.parametrize(
    ("attachment", "code"),
    [
        ("a.txt", "invalid_attachments"),
        ({}, "invalid_attachments"),
        ({"filename": "a.txt"}, "invalid_attachments"),
        ({"content": 7}, "invalid_attachments"),
        ({"content": "SGVsbG8=", "filename": 7}, "invalid_attachments"),
        ({"content": "SGVsbG8=", "path": "https://acme.io/a"}, "invalid_attachments"),
        ({"path": "http://acme.io/a"}, "invalid_url"),
        ({"path": "https://127.0.0.1/a"}, "invalid_url"),
    ],
)
def test_an_attachment_has_content_or_a_public_address(attachment: Any, code: str) -> None:
    assert refused(attachments=[attachment]) == code


@pytest.mark.parametrize(
    ("address", "name", "sender"),
    [
        ("hello@acme.io", "Acme", "Acme <hello@acme.io>"),
        ("hello@acme.io", "", "hello@acme.io"),
        ("hello@acme.io", "Bücher & Söhne", "Bücher & Söhne <hello@acme.io>"),
        ("grüße@bücher.de", "Acme", "Acme <grüße@bücher.de>"),
        ("hello@acme.io", 'Ada "A" Inc.', '"Ada \\"A\\" Inc." <hello@acme.io>'),
        ("hello@acme.io", "Acme <eve@mail.io>, Inc", '"Acme <eve@mail.io>, Inc" <hello@acme.io>'),
        ("", "Acme", ""),
    ],
)
def test_the_sender_of_a_tenant(address: str, name: str, sender: str) -> None:
    assert sender_of(address, name) == sender


def test_a_sender_of_two_lines_halts_the_account() -> None:
    with pytest.raises(Halted, match="one line"):
        sender_of("hello@acme.io", "Acme\r\nBcc: eve@mail.io")


def test_no_sender_at_all_halts_the_account_and_a_payload_can_bring_its_own() -> None:
    with pytest.raises(Halted, match="RESEND_FROM_EMAIL"):
        RESEND.render(message_of("email", MAIL), account_of("resend", **{"from": ""}))
    assert rendered(**{"from": "Ada <ada@acme.io>"})["from"] == "Ada <ada@acme.io>"


def test_a_sender_of_its_own_is_marked_and_the_accounts_own_is_not() -> None:
    account = account_of("resend", **{"from": "us@acme.io"})
    for sender, own in (("ada@acme.io", True), ("us@acme.io", False), (None, False)):
        message = message_of("email", {**MAIL, "from": sender})
        assert RESEND.render(message, account).own_sender == own
        assert request_of("resend", message, account=account).lone_sender == own


def outcomes(count: int, answer: Any, status: int = 200) -> list[Outcome]:
    request = request_of("resend", *(message_of("email", MAIL, number=number) for number in range(count)))
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return list(RESEND.outcomes(request, Response(status, {}, body)))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=100))
def test_every_split_of_a_batch_maps_back_to_its_messages(taken: list[bool]) -> None:
    data = [{"id": f"mail-{place}"} for place, good in enumerate(taken) if good]
    errors = [{"index": place, "message": f"bad {place}"} for place, good in enumerate(taken) if not good]
    for place, (good, outcome) in enumerate(
        zip(taken, outcomes(len(taken), {"data": data, "errors": errors}), strict=True)
    ):
        if good:
            assert outcome == Accepted(f"mail-{place}", {"id": f"mail-{place}"}, 200)
        else:
            assert isinstance(outcome, Rejected)
            assert (outcome.reason, outcome.http_status) == (f"bad {place}", 200)


ONE: dict[str, Any] = {"id": "mail-1"}


@pytest.mark.parametrize(
    "answer",
    [
        *({}, [], None, 7, "data", {"data": None}, {"data": {}}, {"data": "ab"}, {"data": []}, {"data": [ONE]}),
        *({"data": [ONE] * 3}, {"data": [ONE, "mail-2"]}, {"data": [ONE, {}]}, {"data": [ONE, {"id": None}]}),
        *({"data": [ONE, {"id": ""}]}, {"data": [ONE, {"id": 7}]}, {"data": [ONE], "errors": 7}),
        *({"data": [ONE], "errors": [{"index": place}]} for place in (-1, 2, "0", 1.0, None, 1e400)),
        *({"data": [ONE, ONE], "errors": [{"index": 0}]}, {"data": [ONE], "errors": [{"message": "bad"}]}),
        *({"data": [ONE], "errors": ["bad"]}, {"data": [ONE], "errors": {"index": 0}}, ONE),
    ],
)
def test_an_answer_that_does_not_add_up_says_nothing_of_any(answer: Any) -> None:
    assert [type(outcome) for outcome in outcomes(2, answer)] == [Unknown, Unknown]


def test_a_refusal_without_words_still_has_a_reason() -> None:
    _, outcome = outcomes(2, {"data": [ONE], "errors": [{"index": 1}]})
    assert isinstance(outcome, Rejected)
    assert outcome.reason


@pytest.mark.parametrize(
    "answer", [{"id": ""}, {"id": None}, {"id": 7}, {"id": ["a"]}, {}, {"data": [ONE, ONE]}, b"ok"]
)
def test_one_mail_without_an_id_is_unknown(answer: Any) -> None:
    (outcome,) = outcomes(1, answer)
    assert isinstance(outcome, Unknown)


def test_a_batch_that_is_refused_as_a_whole_is_sent_one_by_one_at_no_cost() -> None:
    for outcome in outcomes(2, {"name": "validation_error", "message": "Invalid"}, status=422):
        assert isinstance(outcome, Later)
        assert (outcome.code, outcome.counted) == ("batch_refused", False)


def test_what_comes_back_from_a_refused_batch_comes_one_after_another_and_names_no_neighbour() -> None:
    made = outcomes(100, {"name": "validation_error", "message": "Invalid `to` of acme.io"}, status=422)
    waits = [outcome.after_seconds or 0 for outcome in made if isinstance(outcome, Later)]
    assert waits == sorted(set(waits))
    assert len(waits) == 100
    assert waits[5] >= 1, "five requests a second"
    assert not any("acme" in str(outcome) for outcome in made)


@pytest.mark.parametrize("own", ["List-Unsubscribe", "list-unsubscribe", "LIST-UNSUBSCRIBE"])
def test_a_payloads_own_unsubscribe_header_stays_alone(own: str) -> None:
    assert headers_of({own: "<mailto:out@acme.io>"}) == {own: "<mailto:out@acme.io>"}


def test_a_one_click_without_a_link_of_its_own_is_replaced() -> None:
    assert headers_of({"X-A": "a", "list-unsubscribe-POST": "whatever"}) == {
        "X-A": "a",
        "List-Unsubscribe": "<https://fleet.acme.io/unsubscribe/t>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def headers_of(own: dict[str, str]) -> dict[str, str]:
    """The headers of a campaign's mail whose payload brings these."""
    message = message_of("email", {**MAIL, "headers": own})
    campaign = replace(message, unsubscribe_url="https://fleet.acme.io/unsubscribe/t")
    found: dict[str, str] = json.loads(RESEND.render(campaign, account_of("resend")).body)["headers"]
    return found
