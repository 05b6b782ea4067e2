"""Why has it not gone out: each reason, and every pair of them, set up in the ledger as it comes about."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from admission.open_breakers import OpenBreaker
from admission.why import Why, World, why
from config.channels import Channel
from config.database import Pool
from outbox import accounts, bundles, overview, pauses, presence
from outbox.pauses import Kind, Said
from outbox.scopes import Scope
from outbox.settlements import settle
from outbox.states import Status
from outbox.unknowns import Patience
from tests.factories import insert, pause, travel
from tests.started import claimed, serve, start

NOBODY = UUID(int=0)
PATIENCE = Patience(60, 900)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Case:
    """One scheduled text message, and what is set up around it."""

    def __init__(self, ledger: Pool, owner: psycopg.Connection) -> None:
        self.ledger = ledger
        self.owner = owner
        self.now = self._now()
        self.campaign = uuid4()
        self.breakers: list[OpenBreaker] | None = []
        self.id = insert(owner, "sms", campaign_id=self.campaign)

    async def why(self) -> Why:
        found = await why(self.ledger, self.id, World(PATIENCE, self.breakers))
        assert found is not None
        return found

    def set(self, **columns: Any) -> None:
        """Write columns of the message."""
        named = ", ".join(f"{name} = %s" for name in columns)
        self.owner.execute("SET ROLE fleet")
        self.owner.execute(f"UPDATE channel_outbox SET {named} WHERE id = %s".encode(), (*columns.values(), self.id))
        self.owner.execute("RESET ROLE")

    def _now(self) -> datetime:
        row = self.owner.execute("SELECT date_trunc('second', now())").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment


async def is_not_due(case: Case) -> datetime | None:
    case.set(scheduled_at=case.now + 1 * HOUR)
    return case.now + 1 * HOUR


async def was_put_off(case: Case) -> datetime | None:
    case.set(scheduled_at=case.now + 2 * HOUR, error_code="rate_limited", error_message="twilio asked for a pause")
    return case.now + 2 * HOUR


async def is_tried_again(case: Case) -> datetime | None:
    case.set(scheduled_at=case.now + 3 * HOUR, error_code="20429", error_message="busy", attempts=1)
    return case.now + 3 * HOUR


async def is_paused(case: Case) -> datetime | None:
    said = Said(Kind.PAUSE, Scope(channel="sms"), "ada", "wrong text")
    await pauses.pause(case.ledger, said, until=case.now + 4 * HOUR)
    return case.now + 4 * HOUR


async def is_held(case: Case) -> datetime | None:
    said = Said(Kind.HOLD, Scope(campaign_id=case.campaign), "ada", "the client looks at it")
    await pauses.pause(case.ledger, said, until=case.now + 5 * HOUR)
    return case.now + 5 * HOUR


async def is_cancelled(case: Case) -> datetime | None:
    pause(case.owner, f"campaign:{case.campaign}", kind="cancel")
    return None


async def was_adopted(case: Case) -> datetime | None:
    pause(case.owner, "everything", kind="adoption", due_before=case.now + 48 * HOUR)
    return None


async def is_halted(case: Case) -> datetime | None:
    await accounts.halt(
        case.ledger, (NOBODY, "twilio", "f"), code="20003", reason="the key was refused", seconds=6 * 3600
    )
    row = case.owner.execute("SELECT halted_until FROM fleet.accounts").fetchone()
    return row[0] if row else None


async def has_no_vendor(case: Case) -> datetime | None:
    until = case.now + 7 * HOUR
    case.breakers = [OpenBreaker("twilio", str(NOBODY), case.now, until, "timeout")]
    return until


async def has_no_redis(case: Case) -> datetime | None:
    case.breakers = None
    return None


async def is_in_a_copy(case: Case) -> datetime | None:
    case.owner.execute("UPDATE fleet.identity SET database_oid = 1")
    return None


async def has_no_worker(case: Case) -> datetime | None:
    case.owner.execute("DELETE FROM fleet.workers")
    return None


async def waits_for_an_earlier_one(case: Case) -> datetime | None:
    case.owner.execute(
        "INSERT INTO fleet.unknowns (attempt_id, message_id, send_key, channel, provider, account, account_tenant_id, "
        "address, started_at, ended_at, waits_for, looks) VALUES (gen_random_uuid(), gen_random_uuid(), "
        "gen_random_uuid(), 'sms', 'twilio', 'f', %s, '+14155550100', %s, %s, 'look', 1)",
        (NOBODY, case.now, case.now + 8 * HOUR),
    )
    return case.now + 8 * HOUR + 3 * MINUTE


REASONS: dict[str, Callable[[Case], Any]] = {
    "not_due": is_not_due,
    "put_off": was_put_off,
    "retry": is_tried_again,
    "paused": is_paused,
    "held": is_held,
    "being_cancelled": is_cancelled,
    "adoption": was_adopted,
    "halted": is_halted,
    "breaker_open": has_no_vendor,
    "redis_away": has_no_redis,
    "not_ours": is_in_a_copy,
    "no_worker": has_no_worker,
    "recipient_unknown": waits_for_an_earlier_one,
}
ALTERNATIVES = ({"not_due", "put_off", "retry"}, {"breaker_open", "redis_away"})
"""Of each of these there is one at a time."""


@pytest.fixture
async def case(ledger: Pool, owner: psycopg.Connection) -> Case:
    await serve(ledger, "sms")
    return Case(ledger, owner)


@pytest.mark.parametrize("code", REASONS)
async def test_each_reason(case: Case, code: str) -> None:
    until = await REASONS[code](case)

    found = await case.why()

    assert [(one.code, one.until) for one in found.waits if one.code != "its_turn"] == [(code, until)]
    assert (found.status, found.goes_at, found.waits[0].code) == ("scheduled", until, code)
    assert found.says == found.waits[0].says


PAIRS = [pair for pair in itertools.combinations(REASONS, 2) if not any(set(pair) <= either for either in ALTERNATIVES)]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=["+".join(pair) for pair in PAIRS])
async def test_of_two_reasons_the_one_that_holds_longest_comes_first(case: Case, one: str, other: str) -> None:
    ends = {one: await REASONS[one](case), other: await REASONS[other](case)}

    found = await case.why()

    assert {wait.code: wait.until for wait in found.waits if wait.code != "its_turn"} == ends
    endless = [code for code, until in ends.items() if until is None]
    longest = endless or [max(ends, key=lambda code: ends[code] or case.now)]
    assert found.waits[0].code in longest
    assert found.goes_at == (None if endless else ends[longest[0]])


@pytest.mark.parametrize("address", ["on the message", "of its lead", "of its contact"])
async def test_the_recipient_is_found_where_the_worker_finds_it(
    case: Case, owner: psycopg.Connection, address: str
) -> None:
    """A text message goes to the number, also where a mail address stands beside it."""
    await waits_for_an_earlier_one(case)
    case.set(recipient_email="ada@mail.dev")
    if address != "on the message":
        workspace, person = uuid4(), uuid4()
        case.set(recipient_phone=None, workspace_id=workspace, recipient_id=person)
        table, whose = ("leads", "workspace_id") if address == "of its lead" else ("crm_contacts", "tenant_id")
        owner.execute("SET session_replication_role = replica")  # no workspace is needed for what is tried here
        owner.execute(
            f"INSERT INTO {table} (id, {whose}, phone) VALUES (%s, %s, '+1 415 555 0100')".encode(), (person, workspace)
        )
        owner.execute("RESET session_replication_role")

    assert "recipient_unknown" in [one.code for one in (await case.why()).waits]


async def test_what_waits_for_ever_is_explained(case: Case) -> None:
    case.set(scheduled_at="infinity")
    assert (await case.why()).waits[0].code == "not_due"


async def test_what_only_waits_for_its_turn_is_told_how_many_go_before(case: Case, owner: psycopg.Connection) -> None:
    for number in range(3):
        insert(owner, "sms", scheduled_at=case.now - (number + 1) * MINUTE)
    insert(owner, "sms", priority=1)
    insert(owner, "sms", priority=-1)
    insert(owner, "email")

    found = await case.why()

    assert [one.code for one in found.waits] == ["its_turn"]
    assert "4 messages are due before it" in found.says


async def test_at_the_rate_of_the_last_minute_it_is_told_when(case: Case, owner: psycopg.Connection) -> None:
    before = await start_one(case)
    await settle(case.ledger, [before.settlement(before.ids[0])], [], worker="test")
    case.id = insert(owner, "sms")
    for number in range(2):
        insert(owner, "sms", scheduled_at=case.now - (number + 1) * MINUTE)

    found = await case.why()

    assert "at 1 a minute that takes 120 s" in found.says
    assert await overview.rates(case.ledger) == {"sms": 1}
    assert found.goes_at is not None
    assert timedelta(seconds=119) < found.goes_at - case.now < timedelta(seconds=150)


async def start_one(case: Case) -> Any:
    return await start(case.ledger, Channel.SMS, provider="twilio", body=None)


async def test_a_claim_names_the_worker_that_has_it(case: Case) -> None:
    token, ids = await claimed(case.ledger, Channel.SMS)
    found = await case.why()
    assert (found.status, found.waits[0].code) == ("queued", "claimed")
    assert "in Redis" in found.says

    worker = presence.Presence(uuid4(), "machine", 4711, ["sms"], 4, "0")
    await presence.announce(case.ledger, worker, 0)
    async with bundles.in_hand(case.ledger, worker.id, token, ids):
        assert "worker machine:4711 prepares it" in (await case.why()).says


async def test_what_is_with_the_vendor_names_the_worker_that_asked(case: Case, owner: psycopg.Connection) -> None:
    await start_one(case)
    worker = presence.Presence(uuid4(), "machine", 4711, ["sms"], 4, "0")
    await presence.announce(case.ledger, worker, 0)
    owner.execute("UPDATE fleet.batches SET worker = %s", (worker.id,))

    found = await case.why()

    assert (found.status, [one.code for one in found.waits]) == ("sending", ["with_vendor"])
    assert "made by worker machine:4711" in found.says


async def test_what_is_unknown_says_what_will_tell(case: Case, owner: psycopg.Connection) -> None:
    before = await start_one(case)
    unknown = before.settlement(case.id, Status.UNKNOWN, provider="twilio", address="+14155550100")
    await settle(case.ledger, [unknown], [], worker="test")
    owner.execute("DELETE FROM fleet.batches")

    look = await case.why()
    assert (look.status, [one.code for one in look.waits]) == ("unknown", ["look_up"])
    assert look.goes_at is not None
    assert timedelta() < look.goes_at - case.now < 2 * MINUTE
    owner.execute("UPDATE fleet.unknowns SET waits_for = 'person'")
    person = await case.why()
    assert ([one.code for one in person.waits], person.goes_at) == (["person"], None)


async def test_a_replay_says_when(ledger: Pool, owner: psycopg.Connection, case: Case) -> None:
    case.id = insert(owner)
    started = await start(ledger)
    await settle(ledger, [started.settlement(case.id, Status.UNKNOWN)], [], worker="test")
    owner.execute("UPDATE fleet.batches SET tainted = true, lease_token = NULL")

    found = await case.why()

    assert [one.code for one in found.waits] == ["replay"]


async def test_what_expires_first_says_so(case: Case) -> None:
    case.set(expires_at=case.now + 1 * HOUR)
    await is_paused(case)
    assert "it expires at" in (await case.why()).says
    case.set(expires_at=case.now + 9 * HOUR)
    assert "it expires at" not in (await case.why()).says


async def test_what_has_found_its_end_says_which(case: Case, owner: psycopg.Connection) -> None:
    started = await start_one(case)
    refused = started.settlement(case.id, Status.FAILED, error_code="21211", error_message="no such number")
    await settle(case.ledger, [refused], [], worker="test")

    found = await case.why()

    assert (found.status, found.waits, found.goes_at) == ("failed", (), None)
    assert found.says.startswith("it is failed at ")
    assert found.says.endswith(": no such number")
    case.id = insert(owner, "sms", status="draft")
    assert "correct the row" in (await case.why()).says
    assert await why(case.ledger, uuid4(), World(PATIENCE, [])) is None


async def test_a_channel_that_nobody_serves(case: Case, owner: psycopg.Connection) -> None:
    case.id = insert(owner, "linkedin")
    assert (await case.why()).waits[0].code == "not_served"


async def test_time_is_the_ledgers(case: Case, owner: psycopg.Connection) -> None:
    await is_not_due(case)
    travel(owner, 3700)
    await serve(case.ledger, "sms")
    assert [one.code for one in (await case.why()).waits] == ["its_turn"]
