"""Look-ups: requests that the vendors' OpenAPI files allow, and the simulator asked for what it has accepted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from config.catalog import CATALOG
from config.channels import Channel
from providers.base import Accepted, Halted, Later, Message, Unknown
from providers.lookup import Page, Question, Record
from providers.resend import lookup as resend
from providers.twilio import lookup as twilio
from providers.vapi import lookup as vapi
from simulator.simulation import Options
from tests.conformance.openapi import Spec, needs_specs
from tests.vendors import PROVIDERS, Vendors, account_of, message_of, simulated

LOOKUPS: dict[str, ModuleType] = {"resend": resend, "twilio": twilio, "vapi": vapi}
ADDRESSES = {Channel.EMAIL: ("ada@mail.io", "bea@mail.io"), Channel.SMS: ("+14155550100", "+14155550101")}
ADDRESSES[Channel.VOICE] = ADDRESSES[Channel.SMS]
CONTENT = {"resend": "subject", "vapi": "first_message"}
LONG_AGO, FAR_AHEAD = datetime(2001, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SERVICE = "MG" + "0" * 32

ROUTES = [(name, channel) for name, facts in CATALOG.items() if facts.askable for channel in facts.channels]
each_route = pytest.mark.parametrize(("name", "channel"), ROUTES)
each_vendor = pytest.mark.parametrize("name", [name for name, facts in CATALOG.items() if facts.askable])


def question(channel: Channel, since: datetime = LONG_AGO, until: datetime = FAR_AHEAD) -> Question:
    return Question(channel, ADDRESSES[channel][0], since, until)


def message(name: str, channel: Channel, number: int, text: str, to: int = 0) -> Message:
    field = CONTENT.get(name) or ("body" if channel is Channel.SMS else "say")
    payload = {field: text} | ({"text": "Hello"} if name == "resend" else {})
    return message_of(channel, payload, ADDRESSES[channel][to], number=number, send_key=UUID(int=number))


def digest_of(name: str, sent: Message) -> str | None:
    part = PROVIDERS[name].render(sent, account_of(name))
    return PROVIDERS[name].digest(part.body, part.path)


async def sent_one_by_one(vendors: Vendors, name: str, messages: Sequence[Message]) -> list[str]:
    """Send them, one request each; the vendor's ids."""
    outcomes = [outcome for one in messages for outcome in await vendors.send(name, one)]
    accepted = [outcome.provider_message_id for outcome in outcomes if isinstance(outcome, Accepted)]
    assert len(accepted) == len(messages)
    return accepted


def records_of(pages: Sequence[Page]) -> dict[str, Record]:
    """What was found, by the vendor's id; a repeated one is dropped, as every caller does."""
    return {record.provider_message_id: record for page in pages for record in page.records}


class Ticking:
    """A clock that goes on by the same step at each look; 0 stands still."""

    def __init__(self, step_seconds: float) -> None:
        self.now_seconds = 1_000.0
        self.step_seconds = step_seconds

    def __call__(self) -> float:
        self.now_seconds += self.step_seconds
        return self.now_seconds


@needs_specs
@each_route
@pytest.mark.parametrize("page", [None, "following"])
async def test_a_request_is_allowed_by_the_vendors_file(
    monkeypatch: pytest.MonkeyPatch, name: str, channel: Channel, page: str | None
) -> None:
    monkeypatch.setattr(LOOKUPS[name], "PAGE_SIZE", 2)
    async with simulated(Options(clock=Ticking(0.01))) as vendors:
        if page:
            await sent_one_by_one(vendors, name, [message(name, channel, number, "Hello") for number in range(5)])
            page = (await vendors.ask(name, question(channel)))[0].next_page
            assert page
    request = PROVIDERS[name].lookup_request(question(channel), account_of(name), page)
    parts = urlsplit(request.url)
    query = parse_qsl(parts.query, strict_parsing=True)
    assert Spec.of(name).query_errors("GET", parts.path, query) == []
    assert (request.method, request.body, request.message_ids) == ("GET", b"", ())
    assert request.headers["Authorization"].split()[1] not in repr(request)


@each_route
async def test_all_that_was_accepted_for_one_recipient_is_found_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, channel: Channel
) -> None:
    monkeypatch.setattr(LOOKUPS[name], "PAGE_SIZE", 3)
    texts = ("Hello", "Hello", "Goodbye", "Hello", "Again", "Hello", "Goodbye")
    wanted = [message(name, channel, number, text) for number, text in enumerate(texts)]
    others = [message(name, channel, number, "Hello", to=1) for number in range(10, 14)]
    async with simulated(Options(clock=Ticking(0.01))) as vendors:
        await sent_one_by_one(vendors, name, others[:2])
        ids = await sent_one_by_one(vendors, name, wanted)
        await sent_one_by_one(vendors, name, others[2:])
        pages = await vendors.ask(name, question(channel))
    found = records_of(pages)
    assert found.keys() == set(ids)
    assert len(pages) > 2
    assert all(len(page.records) <= 3 for page in pages)
    for id_, sent in zip(ids, wanted, strict=True):
        record, part = found[id_], PROVIDERS[name].render(sent, account_of(name))
        assert record.sender == part.sender
        assert record.digest == PROVIDERS[name].digest(part.body, part.path)
        assert record.attempt_id == (sent.attempt_id if name == "vapi" else None)
        assert id_ in record.answer.values()
    assert all(record.created_at.tzinfo is UTC for record in found.values())


@each_route
async def test_the_time_is_cut_exactly(name: str, channel: Channel) -> None:
    messages = [message(name, channel, number, "Hello") for number in range(4)]
    async with simulated(Options(clock=Ticking(7.0))) as vendors:
        ids = await sent_one_by_one(vendors, name, messages)
        created = {id_: one.created_at for id_, one in records_of(await vendors.ask(name, question(channel))).items()}
        second, third = (created[id_] for id_ in ids[1:3])
        assert second < third
        for since, until, expected in (
            (second, third, ids[1:3]),
            (second + SECOND, third, ids[2:3]),
            (second, third - SECOND, ids[1:2]),
            (second - SECOND, second, ids[1:2]),
            (LONG_AGO, created[ids[0]] - SECOND, []),
        ):
            assert list(records_of(await vendors.ask(name, question(channel, since, until)))) == expected[::-1]


@each_vendor
async def test_what_the_vendor_does_not_list_yet_is_not_found_until_it_does(name: str) -> None:
    channel, clock = CATALOG[name].channels[0], Ticking(0.0)
    async with simulated(Options(clock=clock)) as vendors:
        await vendors.order(name, "hide", seconds=60)
        await vendors.order(name, "accept_then_drop")
        (lost,) = await vendors.send(name, message(name, channel, 1, "Hello"))
        assert isinstance(lost, Unknown)
        assert records_of(await vendors.ask(name, question(channel))) == {}
        clock.now_seconds += 60
        (record,) = records_of(await vendors.ask(name, question(channel))).values()
    assert record.digest == digest_of(name, message(name, channel, 1, "Hello"))


@each_vendor
@pytest.mark.parametrize(
    ("fault", "kind"), [("too_many", Later), ("server_error", Unknown), ("drop", Unknown)], ids=str
)
async def test_an_answer_that_is_none_is_a_decision(name: str, fault: str, kind: type[Exception]) -> None:
    async with simulated() as vendors:
        await vendors.order(name, fault, operation="read", count=2)  # A GET that is cut off is repeated once.
        with pytest.raises(kind):
            await vendors.ask(name, question(CATALOG[name].channels[0]))


@each_vendor
async def test_a_key_that_was_revoked_halts(name: str) -> None:
    revoked = {"authorization": "Basic cmV2b2tlZDp4"} if name == "twilio" else {"key": "revoked"}
    async with simulated() as vendors:
        with pytest.raises(Halted):
            await vendors.ask(name, question(CATALOG[name].channels[0]), **revoked)


async def test_a_queued_message_is_found_at_twilio() -> None:
    """Its date of sending is empty: no list with a filter by it would have it."""
    async with simulated(Options(settle_seconds=3600)) as vendors:
        (id_,) = await sent_one_by_one(vendors, "twilio", [message("twilio", Channel.SMS, 1, "Hello")])
        (record,) = records_of(await vendors.ask("twilio", question(Channel.SMS))).values()
    assert (record.provider_message_id, record.answer["date_sent"]) == (id_, None)


async def test_a_service_is_the_sender_until_it_has_chosen_a_number() -> None:
    clock = Ticking(0.0)
    async with simulated(Options(clock=clock, settle_seconds=60)) as vendors:
        outcomes = await vendors.send("twilio", message("twilio", Channel.SMS, 1, "Hello"), number=SERVICE)
        assert isinstance(outcomes[0], Accepted)
        senders = []
        for _ in range(2):
            (record,) = records_of(await vendors.ask("twilio", question(Channel.SMS))).values()
            senders.append(record.sender)
            clock.now_seconds += 60
    assert senders == [SERVICE, None]


async def test_a_redacted_text_has_no_digest() -> None:
    async with simulated(Options(settle_seconds=0)) as vendors:
        await vendors.order("twilio", "redact")
        messages = [message("twilio", Channel.SMS, number, "Hello") for number in range(2)]
        redacted, plain = await sent_one_by_one(vendors, "twilio", messages)
        found = records_of(await vendors.ask("twilio", question(Channel.SMS)))
    assert found[redacted].digest is None
    assert found[plain].digest == digest_of("twilio", messages[1])


@pytest.mark.parametrize("size", [1, 4, 6, 11])
async def test_calls_of_one_millisecond_are_all_found(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(vapi, "PAGE_SIZE", 5)
    clock = Ticking(0.0)
    async with simulated(Options(clock=clock)) as vendors:
        ids: list[str] = []
        for burst in range(3):
            messages = [message("vapi", Channel.VOICE, 100 * burst + number, "Hello") for number in range(size)]
            ids += await sent_one_by_one(vendors, "vapi", messages)
            clock.now_seconds += 1
        assert records_of(await vendors.ask("vapi", question(Channel.VOICE))).keys() == set(ids)


async def test_more_calls_of_one_millisecond_than_vapi_lists_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vapi, "PAGE_SIZE", 3)
    monkeypatch.setattr(vapi, "RAISED_SIZE", 5)
    async with simulated(Options(clock=Ticking(0.0))) as vendors:
        await sent_one_by_one(vendors, "vapi", [message("vapi", Channel.VOICE, number, "Hello") for number in range(5)])
        with pytest.raises(Unknown):
            await vendors.ask("vapi", question(Channel.VOICE))


async def test_the_list_is_read_back_to_the_beginning_of_the_time_and_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resend, "PAGE_SIZE", 2)
    async with simulated(Options(clock=Ticking(1.0))) as vendors:
        ids = await sent_one_by_one(
            vendors, "resend", [message("resend", Channel.EMAIL, number, "Hello") for number in range(9)]
        )
        created = {
            id_: one.created_at for id_, one in records_of(await vendors.ask("resend", question(Channel.EMAIL))).items()
        }
        pages = await vendors.ask("resend", question(Channel.EMAIL, since=created[ids[6]]))
    assert list(records_of(pages)) == ids[:5:-1]
    assert len(pages) == 2
