"""The generic door: what its format says, and what is refused with a sentence."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.channels import Channel
from config.vocabulary import KINDS, Kind
from providers.base import Halted
from providers.callbacks import Callback, Event, Malformed
from providers.generic import FIELDS, ID_LIMIT, MOST_EVENTS, NAME, TYPES, Generic
from providers.receivers import all_doors
from tests.vendors import PROVIDERS

PAGE = Path(__file__).parents[2] / "docs/webhooks.md"
MESSAGE, ATTEMPT = uuid4(), uuid4()
SAID: dict[str, Any] = {"id": "e1", "type": "delivered", "provider": "twilio", "provider_message_id": "g-17"}


NO_NUMBERS = (
    *("4155550100", "+1 415 555 0100", "+1415555XXXX", "+0415555010", "+1415", "ada@mail.io", "+1" * 9),
    "+1415555010\N{FULLWIDTH DIGIT ONE}",
)
NO_MAILS = (
    *("Ada <ada@mail.io>", "<ada@mail.io>", "ada", "ada@", "@mail.io", "ada@mail..io", "a b@mail.io"),
    *("mailto:ada@mail.io", "ada@mail.io,eve@mail.io", "+14155550100", "ada@@mail.io", "a\0@mail.io"),
    *("a" * 65 + "@mail.io", "ada@" + "m" * 251),
)


def parse(said: Any) -> list[Event]:
    return Generic().parse(Callback("", {}, {}, said if isinstance(said, bytes) else orjson.dumps(said)))


def refusal(said: Any) -> str:
    with pytest.raises(Malformed) as why:
        parse(said)
    return str(why.value)


def test_every_field_is_read() -> None:
    said = SAID | {
        "message_id": str(MESSAGE),
        "attempt_id": str(ATTEMPT),
        "channel": "sms",
        "address": " +14155550100",
        "occurred_at": "2026-02-22T23:41:12Z",
        "code": "30003",
        "reason": "ada@mail.io is away",
        "text": "Yes",
    }
    assert said.keys() == FIELDS
    assert parse(said) == [
        Event(
            event_id="generic:e1",
            kind=Kind.DELIVERED,
            provider="twilio",
            provider_message_id="g-17",
            message_id=MESSAGE,
            attempt_id=ATTEMPT,
            channel=Channel.SMS,
            address="+14155550100",
            occurred_at=datetime(2026, 2, 22, 23, 41, 12, tzinfo=UTC),
            code="30003",
            reason="a…@mail.io is away",
            text="Yes",
            answer=said,
        )
    ]


def test_several_events_at_once() -> None:
    many = [SAID | {"id": str(number)} for number in range(MOST_EVENTS)]
    assert [event.event_id for event in parse(many)] == [f"generic:{number}" for number in range(MOST_EVENTS)]
    assert parse([]) == []
    assert str(MOST_EVENTS) in refusal([*many, SAID])
    assert refusal([SAID, SAID | {"type": "arrived"}]), "all of them, or none"


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_each_kind_needs_what_it_is_about(kind: Kind) -> None:
    bare = {"id": "1", "type": kind.value, "provider": "resend"}
    named = refusal(bare)
    assert kind.value in named
    assert parse(bare | {"message_id": str(MESSAGE)})[0].kind is kind
    if KINDS[kind].proves:
        assert "provider_message_id" in named
        assert parse(bare | {"provider_message_id": "g"})
        assert refusal(bare | {"attempt_id": str(ATTEMPT)})
    else:
        assert parse(bare | {"channel": "email", "address": "ada@mail.io"})
        assert refusal(bare | {"address": "ada@mail.io"})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "x" * (ID_LIMIT + 1)}, "id"),
        ({"type": "arrived"}, "type"),
        ({"type": None}, "type"),
        ({"type": "resubscribed"}, "unsubscribed"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "zone"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "occurred_at"),
        *(({"channel": "sms", "address": number}, "E.164") for number in NO_NUMBERS),
        *(({"channel": "voice", "address": number}, "E.164") for number in NO_NUMBERS),
        *(({"channel": "email", "address": mail}, "mail address") for mail in NO_MAILS),
        ({"channel": "linkedin", "address": "ada@mail.io"}, "address"),
        ({"address": "ada@mail.io"}, "channel"),
        ({"provider": "fleet"}, "provider"),
        ({"provider": "generic"}, "provider"),
        ({"provider": None}, "provider"),
        ({"message_id": "7"}, "message_id"),
        ({"attempt_id": 7}, "attempt_id"),
        ({"channel": "pigeon"}, "channel"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at"),
        ({"text": ["a"]}, "text"),
        ({"our_address": "x"}, "address"),
        ({"tenant_id": str(uuid4())}, "nothing else"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(changed: dict[str, Any], named: str) -> None:
    said = refusal(SAID | changed)
    assert named in said
    assert not any(isinstance(value, str) and len(value) > 7 and value in said for value in changed.values())


@pytest.mark.parametrize("said", [b"", b"{", 7, None, "x", [[]], [None], {}])
def test_what_is_no_event_is_malformed(said: Any) -> None:
    assert refusal(said)


def test_it_is_a_door_beside_the_providers_and_no_tenants_but_its_own() -> None:
    doors = all_doors(PROVIDERS)
    assert doors.keys() == {*PROVIDERS, NAME}
    with pytest.raises(Halted):
        doors[NAME].account_from_environment(None)
    own = doors[NAME].account_of_tenant(UUID(int=7), {"webhook_secret": "whsec_x"}, None)
    assert (own.provider, own.tenant_id) == (NAME, UUID(int=7))
    assert "whsec_x" not in repr(own)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.sampled_from(["", "a\0-", *Kind]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(FIELDS)), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), values), st.booleans())
def test_any_fields_are_read_or_malformed(said: dict[str, Any], whole: bool) -> None:
    with suppress(Malformed):
        assert len(parse(SAID | said if whole else said)) == 1


@given(st.binary(max_size=100) | values.map(orjson.dumps))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        parse(body)


@pytest.mark.parametrize(
    ("channel", "given", "kept"),
    [
        ("sms", " +14155550100 ", "+14155550100"),
        ("voice_vm", "+4915112345678", "+4915112345678"),
        ("email", " Ada.Lovelace+x@Mail.io", "ada.lovelace+x@mail.io"),
        ("email", "jörg@bücher.de", "jörg@bücher.de"),
        ("email", "ada@intranet", "ada@intranet"),
    ],
)
def test_an_address_is_kept_as_the_ledger_finds_it(channel: str, given: str, kept: str) -> None:
    assert parse(SAID | {"channel": channel, "address": given})[0].address == kept


def test_a_clock_may_be_a_day_ahead() -> None:
    at = datetime.now(UTC) + timedelta(hours=23)
    assert parse(SAID | {"occurred_at": at.isoformat()})[0].occurred_at == at


def test_what_may_be_told_is_what_the_page_lists() -> None:
    (row,) = (line for line in PAGE.read_text().splitlines() if line.startswith("| `type`"))
    assert set(re.findall(r"`(\w+)`", row.split("`config/vocabulary.py`")[1])) == TYPES
