"""Resend's webhooks: what each event means, and that nothing they hold breaks their reader."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resend.webhooks._webhook import WebhookEvent

from config.channels import Channel
from config.vocabulary import KINDS, Kind, Proof
from providers.base import attempt_id
from providers.callbacks import Callback, Event, Malformed
from providers.resend.callbacks import KINDS_OF_EVENTS
from tests.vendors import PROVIDERS

MESSAGE, SEND_KEY = uuid4(), uuid4()
DATA: dict[str, Any] = {
    "email_id": "e1",
    "message_id": "<x@resend.dev>",
    "created_at": "2026-02-22T23:41:11.000Z",
    "from": "Acme <hello@acme.io>",
    "to": ["Ada <Ada@Mail.io>"],
    "subject": "Hello",
    "tags": {"message_id": str(MESSAGE), "send_key": str(SEND_KEY), "team": "red"},
}


def parse(body: bytes, headers: dict[str, str] | None = None) -> list[Event]:
    one = Callback("", {}, {"svix-id": "msg_1"} if headers is None else headers, body)
    return list(PROVIDERS["resend"].parse(one))


def event(type_: str, **data: Any) -> Event:
    said = {"type": type_, "created_at": "2026-02-22T23:41:12.126Z", "data": {**DATA, **data}}
    (found,) = parse(orjson.dumps(said))
    return found


@pytest.mark.parametrize(("type_", "kind"), [one for one in KINDS_OF_EVENTS.items() if one[1] is not Kind.REPLIED])
def test_each_event_of_a_mail(type_: str, kind: Kind) -> None:
    found = event(type_)
    assert (found.kind, found.event_id, found.provider_message_id) == (kind, "msg_1", "e1")
    assert (found.message_id, found.attempt_id) == (MESSAGE, attempt_id(SEND_KEY, MESSAGE))
    assert (found.channel, found.address) == (Channel.EMAIL, "ada@mail.io")
    assert found.occurred_at == datetime(2026, 2, 22, 23, 41, 12, 126000, UTC)
    assert bool(found.code) == bool(found.reason) == (KINDS[kind].proves is Proof.UNDELIVERED)
    assert found.answer["data"]["subject"] == "Hello"


def test_the_table_knows_every_mail_event_of_the_vendors_library() -> None:
    types = get_args(WebhookEvent)
    assert {type_ for type_ in types if type_.startswith("email.")} == set(KINDS_OF_EVENTS)
    for other in set(types) - set(KINDS_OF_EVENTS):
        assert parse(orjson.dumps({"type": other, "data": {}})) == []


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("Permanent", Kind.BOUNCED),
        ("Transient", Kind.SOFT_BOUNCED),
        ("Undetermined", Kind.SOFT_BOUNCED),
        ("Temporary", Kind.SOFT_BOUNCED),
        (None, Kind.SOFT_BOUNCED),
        (7, Kind.SOFT_BOUNCED),
    ],
)
def test_only_a_permanent_bounce_is_a_hard_one(type_: Any, kind: Kind) -> None:
    bounce = {"type": type_, "subType": "General", "message": "no mailbox ada@mail.io here"}
    found = event("email.bounced", bounce=bounce)
    assert found.kind is kind
    assert found.code == (f"{type_}.General" if isinstance(type_, str) else "General")
    assert found.reason == "no mailbox a…@mail.io here"


def test_causes_in_the_vendors_words() -> None:
    failed = event("email.failed", failed={"reason": "reached_daily_quota"})
    assert (failed.code, failed.reason) == ("failed", "reached_daily_quota")
    blocked = event("email.suppressed", suppressed={"type": "OnAccountSuppressionList", "message": "on the list"})
    assert (blocked.kind, blocked.code, blocked.reason) == (Kind.BLOCKED, "OnAccountSuppressionList", "on the list")


@pytest.mark.parametrize(
    "tags", [None, {}, [], {"message_id": str(MESSAGE)}, {"message_id": "17", "send_key": "x"}, {"message_id": 7}]
)
def test_anothers_tags_are_no_marks(tags: Any) -> None:
    found = event("email.delivered", tags=tags)
    assert (found.provider_message_id, found.message_id, found.attempt_id) == ("e1", None, None)


def test_a_mail_that_came_in() -> None:
    received = {"from": '"Ada, L." <ADA@mail.io>', "to": ["Hello@acme.io"], "subject": "Re: Hello", "email_id": "in1"}
    found = event("email.received", **received)
    assert (found.kind, found.provider_message_id) == (Kind.REPLIED, "in1")
    assert (found.message_id, found.attempt_id) == (None, None)
    assert (found.address, found.our_address, found.text) == ("ada@mail.io", "hello@acme.io", "Re: Hello")


@pytest.mark.parametrize("time", ["yesterday", None, 7, "0001-01-01T00:00:00+14:00", {}])
def test_a_time_that_cannot_be_read_is_none(time: Any) -> None:
    (found,) = parse(orjson.dumps({"type": "email.sent", "created_at": time, "data": DATA}))
    assert found.occurred_at is None or found.occurred_at.year == 1970


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"{}", b'{"type":7}', b'{"type":"email.sent"}', b'{"type":"email.sent","data":[]}']
)
def test_what_is_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


def test_an_event_without_an_id_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse(orjson.dumps({"type": "email.sent", "data": DATA}), {})


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*DATA, "bounce", "type"]), inner),
    max_leaves=8,
)


@given(
    st.sampled_from([*KINDS_OF_EVENTS, "contact.created"]),
    st.dictionaries(st.sampled_from([*DATA, "bounce", "failed"]), values),
    values,
)
def test_any_content_is_one_event_or_none(type_: str, data: Any, created_at: Any) -> None:
    found = parse(orjson.dumps({"type": type_, "created_at": created_at, "data": data}))
    assert len(found) == (type_ in KINDS_OF_EVENTS)


@given(st.binary(max_size=100) | values.map(orjson.dumps))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        parse(body)
