"""Messages that stay sent: their vendor is asked, few at once, and what it says is the event of its callback."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from psycopg import sql

from admission.reports import report
from config.channels import CHANNELS, Channel
from outbox import accounts, events, polls
from providers.base import PROVIDER_WIDE, Account, Request, Response
from providers.callbacks import Callback
from simulator.app import create_app
from simulator.simulation import Options
from tests.factories import column_of, insert, status_of, travel
from tests.integration.conftest import Open, Vendors, deliver, end_of_pauses
from tests.integration.test_events import tell
from workers import poll as polling
from workers.poll import AT_ONCE, poll
from workers.runtime import Runtime

SMS, VOICE = Channel.SMS, Channel.VOICE
EVERYONE = [("twilio", SMS), ("twilio", VOICE), ("vapi", VOICE)]
PAYLOADS = {
    ("twilio", SMS): {"body": "Hello"},
    ("twilio", VOICE): {"say": "Hello"},
    ("vapi", VOICE): {"assistant_id": "a", "first_message": "Hello"},
}
NEVER = 1e6
"""Seconds after which a send has its end."""


@pytest.fixture
async def vendors(request: pytest.FixtureRequest) -> AsyncIterator[Vendors]:
    """The simulator, at which every send has its end at once, or after the seconds of the test's parameter."""
    options = Options(settle_seconds=getattr(request, "param", 0.0))
    async with TestServer(create_app(options)) as server, ClientSession() as session:
        yield Vendors(str(server.make_url("")).rstrip("/"), session)


async def ends(vendors: Vendors, **shares: float) -> None:
    """Order how sends end, and that nobody calls back."""
    async with vendors.session.post(f"{vendors.url}/callbacks", json={"vendor": "*", "on": False, **shares}) as answer:
        assert answer.status in (200, 201, 204), await answer.text()


async def forget(vendors: Vendors) -> None:
    """Let the vendors have no record of what they accepted."""
    async with vendors.session.delete(f"{vendors.url}/stats") as answer:
        assert answer.status in (200, 204), await answer.text()


async def requests_of(vendors: Vendors, provider: str = "twilio") -> int:
    return int((await vendors.stats())[provider]["requests"])


async def sent(
    worker: Runtime, owner: psycopg.Connection, provider: str = "twilio", channel: Channel = SMS, count: int = 1
) -> list[UUID]:
    """Messages that a vendor took."""
    payload = PAYLOADS[(provider, channel)]
    ids = [insert(owner, channel.value, provider=provider, payload=payload) for _ in range(count)]
    await deliver(worker, channel)
    assert {status_of(owner, id_) for id_ in ids} == {"sent"}
    return ids


async def due(worker: Runtime, channel: Channel = SMS) -> list[str]:
    """Claim what is due, as the scheduler does."""
    patience = polls.patience_seconds(channel, worker.settings)
    return await polls.claim(worker.pool, channel, patience_seconds=patience, limit=100)


async def look(worker: Runtime, channel: Channel = SMS) -> events.Applied:
    """Ask about what is due, and apply what was said."""
    await poll(worker, channel, await due(worker, channel))
    return await tell(worker.pool)


def stored(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT count(*) FROM fleet.events").fetchone()
    assert row is not None
    return int(row[0])


def waits_seconds(owner: psycopg.Connection, id_: UUID) -> float:
    """How long until the next look."""
    row = owner.execute(
        "SELECT extract(epoch FROM poll_at - fleet.now())::float8 FROM channel_outbox WHERE id = %s", (id_,)
    ).fetchone()
    assert row is not None
    return float(row[0])


async def callback(worker: Runtime, id_: UUID, sid: str, status: str) -> events.Report:
    """What the receiver stores of a callback of Twilio."""
    (account,) = (await worker.accounts.resolve("twilio", {PROVIDER_WIDE})).values()
    assert isinstance(account, Account)
    body = urlencode({"MessageSid": sid, "MessageStatus": status, "AccountSid": "AC" + "0" * 32}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    (event,) = worker.providers["twilio"].parse(Callback("https://fleet.acme.io", {}, headers, body))
    return report(account, event, id_)


@pytest.mark.parametrize(("provider", "channel"), EVERYONE)
async def test_what_arrived_is_found_delivered(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel
) -> None:
    (id_,) = await sent(worker, owner, provider, channel)
    facts = CHANNELS[channel].polls
    assert facts is not None
    assert waits_seconds(owner, id_) == pytest.approx(facts.patience_seconds, abs=10)

    assert await due(worker, channel) == []
    travel(owner, facts.patience_seconds + 1)
    assert (await look(worker, channel)).applied == 1

    assert (status_of(owner, id_), column_of(owner, id_, "poll_at")) == ("delivered", None)
    travel(owner, facts.horizon_seconds * 3)
    assert await due(worker, channel) == []


@pytest.mark.parametrize(("provider", "channel"), EVERYONE)
async def test_what_did_not_arrive_is_found_undelivered(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str, channel: Channel
) -> None:
    await ends(vendors, undelivered=1.0)
    (id_,) = await sent(worker, owner, provider, channel)
    travel(owner, 901)
    assert (await look(worker, channel)).applied == 1
    assert (status_of(owner, id_), column_of(owner, id_, "error_class")) == ("failed", "undelivered")
    assert column_of(owner, id_, "poll_at") is None


@pytest.mark.parametrize("provider", ["twilio", "vapi"])
async def test_a_call_that_nobody_took(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, provider: str
) -> None:
    await ends(vendors, no_answer=1.0)
    (id_,) = await sent(worker, owner, provider, VOICE)
    travel(owner, 301)
    await look(worker, VOICE)
    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("failed", "no_answer")


@pytest.mark.parametrize("vendors", [NEVER], indirect=True)
async def test_what_has_no_end_yet_is_looked_at_when_it_is_twice_as_old_and_last_at_the_horizon(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    looks: list[float] = []
    waits = waits_seconds(owner, id_)
    while column_of(owner, id_, "poll_at") is not None:
        looks.append(waits + sum(looks[-1:]))
        travel(owner, looks[-1] + 1)
        assert (await look(worker)).applied == 0
        waits = waits_seconds(owner, id_) if column_of(owner, id_, "poll_at") else 0.0

    assert [seconds / 3600 for seconds in looks] == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 72], rel=0.02)
    assert (status_of(owner, id_), stored(owner)) == ("sent", 0)
    assert await requests_of(vendors) == 1 + len(looks)


async def test_who_dies_with_the_last_look_loses_it_to_the_next(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    facts = CHANNELS[SMS].polls
    assert facts is not None
    travel(owner, facts.horizon_seconds + 1)
    assert await due(worker) == [str(id_)]  # and nobody asks

    assert waits_seconds(owner, id_) == pytest.approx(facts.horizon_seconds / 4, abs=10)
    travel(owner, facts.horizon_seconds * 1.25 + 10)
    assert (await look(worker)).applied == 1
    assert (status_of(owner, id_), column_of(owner, id_, "poll_at")) == ("delivered", None)


async def test_whose_workers_all_die_is_given_up_at_twice_the_horizon(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    facts = CHANNELS[SMS].polls
    assert facts is not None
    age, claims = facts.horizon_seconds, 0
    travel(owner, age)
    while column_of(owner, id_, "poll_at") is not None:
        age += max(waits_seconds(owner, id_), 0.0) + 1
        travel(owner, age)
        claims += len(await due(worker))
    assert claims == 5
    assert status_of(owner, id_) == "sent"


@pytest.mark.parametrize("is_applied", [True, False])
async def test_a_callback_that_came_first_makes_the_look_find_nothing_new(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, is_applied: bool
) -> None:
    (id_,) = await sent(worker, owner)
    told = await callback(worker, id_, column_of(owner, id_, "provider_message_id"), "delivered")
    await events.store(worker.pool, [told])
    if is_applied:
        await tell(worker.pool)

    travel(owner, 901)
    await poll(worker, SMS, [str(id_)])
    assert stored(owner) == 1
    await tell(worker.pool)
    assert status_of(owner, id_) == "delivered"
    assert await requests_of(vendors) == (1 if is_applied else 2)


async def test_a_callback_that_comes_after_the_look_changes_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    travel(owner, 901)
    await look(worker)
    before = owner.execute("SELECT xmin::text FROM channel_outbox").fetchone()

    told = await callback(worker, id_, column_of(owner, id_, "provider_message_id"), "delivered")
    assert await events.store(worker.pool, [told]) == 0
    await tell(worker.pool)
    assert owner.execute("SELECT xmin::text FROM channel_outbox").fetchone() == before


async def test_what_its_vendor_calls_back_about_is_never_asked_for(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = insert(owner)
    await deliver(worker)
    assert (status_of(owner, id_), column_of(owner, id_, "poll_at")) == ("sent", None)


async def test_the_environment_may_shorten_every_channels_patience(
    open_worker: Open, vendors: Vendors, owner: psycopg.Connection
) -> None:
    worker = await open_worker(FLEET_POLL_AFTER_SECONDS="2")
    (text,) = await sent(worker, owner)
    (call,) = await sent(worker, owner, "vapi", VOICE)
    travel(owner, 3)
    assert (await due(worker), await due(worker, VOICE)) == ([str(text)], [str(call)])
    assert waits_seconds(owner, text) == pytest.approx(3, abs=1.5)


async def test_what_the_vendor_has_no_record_of_stays_sent_and_is_asked_for_no_more(
    open_worker: Open, worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    for provider, channel in EVERYONE:
        await sent(worker, owner, provider, channel)
    await forget(vendors)
    changed = await open_worker(TWILIO_ACCOUNT_SID="AC" + "1" * 32, TWILIO_AUTH_TOKEN="another", VAPI_PRIVATE_KEY="k")

    travel(owner, 901)
    for channel in (SMS, VOICE):
        await look(changed, channel)
    given_up = "SELECT count(*) FROM channel_outbox WHERE status = 'sent' AND poll_at IS NULL"
    assert owner.execute(given_up).fetchone() == (0,), "another account's record shows nothing of it"

    travel(owner, 2000)
    for channel in (SMS, VOICE):
        await look(worker, channel)
    assert owner.execute(given_up).fetchone() == (3,)
    assert stored(owner) == 0


async def test_new_credentials_of_the_same_account_are_asked(
    open_worker: Open, worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    rotated = await open_worker(TWILIO_AUTH_TOKEN="rotated")
    travel(owner, 901)
    await look(rotated)
    assert status_of(owner, id_) == "delivered"


async def test_what_no_attempt_of_it_names_is_asked_for_no_more(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    owner.execute("DELETE FROM fleet.attempts")
    travel(owner, 901)
    await look(worker)
    assert (status_of(owner, id_), column_of(owner, id_, "poll_at")) == ("sent", None)


async def test_a_halted_account_is_not_asked_and_its_messages_keep_their_next_look(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (id_,) = await sent(worker, owner)
    (account,) = (await worker.accounts.resolve("twilio", {PROVIDER_WIDE})).values()
    assert isinstance(account, Account)
    whose = (PROVIDER_WIDE, "twilio", account.fingerprint)
    travel(owner, 901)
    await accounts.halt(worker.pool, whose, code="20003", reason="refused", seconds=120)
    worker.accounts._known.clear()  # another process halted it; this one would notice within seconds

    await look(worker)
    assert await requests_of(vendors) == 1
    assert waits_seconds(owner, id_) == pytest.approx(901, abs=30)

    travel(owner, 2000)
    worker.accounts._known.clear()
    await look(worker)
    assert status_of(owner, id_) == "delivered"


async def test_an_account_whose_credentials_are_refused_is_halted_once(
    open_worker: Open, worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    await sent(worker, owner, count=20)
    revoked = await open_worker(TWILIO_AUTH_TOKEN="revoked")
    travel(owner, 901)
    before = await requests_of(vendors)
    await look(revoked)

    assert await requests_of(vendors) - before <= AT_ONCE
    halted = owner.execute("SELECT provider, tenant_id, halted_code FROM fleet.accounts").fetchall()
    assert halted == [("twilio", PROVIDER_WIDE, "20003")]
    statuses = owner.execute("SELECT DISTINCT status, poll_at > fleet.now() FROM channel_outbox").fetchall()
    assert statuses == [("sent", True)]


async def test_a_vendor_that_asks_to_wait_is_left_alone_by_looks_and_sends(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, redis_url: str
) -> None:
    ids = await sent(worker, owner, count=20)
    await vendors.fault(vendor="twilio", kind="too_many", operation="read", count=AT_ONCE, seconds=600)
    travel(owner, 901)
    before = await requests_of(vendors)
    await look(worker)
    assert await requests_of(vendors) - before == AT_ONCE
    assert {round(waits_seconds(owner, id_), -1) for id_ in ids} == {600.0}

    await worker.breaker.flush()
    travel(owner, 1502)
    await look(worker)
    assert await requests_of(vendors) - before == AT_ONCE, "the account's pause holds for everybody"

    end_of_pauses(worker, redis_url)
    travel(owner, 2500)
    await look(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"delivered"}


async def test_a_vendor_that_is_broken_for_one_look_is_asked_again_soon(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    ids = await sent(worker, owner, count=2)
    await vendors.fault(vendor="twilio", kind="server_error", operation="read", count=1)
    travel(owner, 901)
    await look(worker)
    assert sorted(status_of(owner, id_) for id_ in ids) == ["delivered", "sent"]
    travel(owner, 901 + 227)
    await look(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"delivered"}


async def test_few_are_asked_at_once(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await sent(worker, owner, count=30)
    at_once: list[int] = []
    send = worker.client.send

    async def counted(request: Request) -> Response:
        at_once.append(worker.budget.in_flight)
        return await send(request)

    monkeypatch.setattr(worker.client, "send", counted)
    travel(owner, 901)
    await look(worker)
    assert {status_of(owner, id_) for id_ in ids} == {"delivered"}
    assert max(at_once) == AT_ONCE
    assert worker.budget.in_flight == 0


async def test_a_second_bundle_of_the_channel_is_put_off(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    (text,) = await sent(worker, owner)
    (call,) = await sent(worker, owner, "vapi", VOICE)
    travel(owner, 901)
    worker.polling.add(SMS)
    await look(worker)
    await look(worker, VOICE)
    assert (status_of(owner, text), status_of(owner, call)) == ("sent", "delivered")
    assert waits_seconds(owner, text) == pytest.approx(901 / 4, abs=10)
    assert worker.polling == {SMS}


async def test_a_bundle_that_takes_too_long_is_put_off(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await sent(worker, owner, count=3)
    monkeypatch.setattr(polling, "BUNDLE_SECONDS", 0.0)
    travel(owner, 901)
    await look(worker)
    assert await requests_of(vendors) == 3
    assert all(waits_seconds(owner, id_) < 300 for id_ in ids)


async def test_one_answer_that_breaks_our_reading_costs_the_others_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await sent(worker, owner, count=3)
    bad = column_of(owner, ids[0], "provider_message_id")
    read = worker.providers["twilio"].status_events

    def broken(channel: Channel, response: Response) -> Sequence[Any]:
        if bad.encode() in response.body:
            raise ZeroDivisionError
        return read(channel, response)

    monkeypatch.setattr(worker.providers["twilio"], "status_events", broken)
    travel(owner, 901)
    await look(worker)
    assert [status_of(owner, id_) for id_ in ids] == ["sent", "delivered", "delivered"]


async def test_one_answer_that_the_database_refuses_costs_the_others_nothing(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    ids = await sent(worker, owner, count=3)
    facts = CHANNELS[SMS].polls
    assert facts is not None
    sid = column_of(owner, ids[0], "provider_message_id")
    owner.execute(
        sql.SQL("ALTER TABLE fleet.events ADD CONSTRAINT refuses CHECK (provider_message_id <> {})").format(sid)
    )
    travel(owner, facts.horizon_seconds + 1)

    await look(worker)
    assert [status_of(owner, id_) for id_ in ids] == ["sent", "delivered", "delivered"]

    owner.execute("ALTER TABLE fleet.events DROP CONSTRAINT refuses")
    travel(owner, facts.horizon_seconds * 1.25 + 10)
    await look(worker)
    assert status_of(owner, ids[0]) == "delivered", "it was the last look, and is not lost"
