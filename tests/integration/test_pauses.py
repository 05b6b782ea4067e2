"""Pauses and holds: what they stop at each step of a message's way, and how it goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.channels import Channel
from config.database import Pool
from outbox import batches, pauses, presence, starts
from outbox.pauses import Kind, Said
from outbox.scopes import Scope, keys_of
from tests.factories import attempts_of, column_of, insert, status_of, travel
from tests.integration.conftest import Vendors, deliver
from tests.integration.test_replay import replay
from tests.started import claimed, start
from workers.pauses import Pauses
from workers.runtime import Runtime

CAMPAIGN, WORKSPACE = uuid4(), uuid4()


@pytest.fixture
async def still(worker: Runtime) -> Runtime:
    """A sending process that looks for pauses when the test says so."""
    (loop,) = (loop for loop in worker.loops if loop.get_name() == "pauses")
    loop.cancel()
    return worker


def said(scope: Scope, kind: Kind = Kind.PAUSE) -> Said:
    return Said(kind, scope, "ada", "wrong text")


async def test_what_is_paused_waits_until_it_is_resumed(ledger: Pool, owner: psycopg.Connection) -> None:
    ours, other = insert(owner, campaign_id=CAMPAIGN), insert(owner)
    scope = Scope(campaign_id=CAMPAIGN)

    await pauses.pause(ledger, said(scope))
    assert (await start(ledger)).ids == [other]
    assert status_of(owner, ours) == "scheduled"
    assert await pauses.resume(ledger, said(Scope())) == 0, "another scope"
    assert await pauses.resume(ledger, said(scope, Kind.HOLD)) == 0, "another kind"
    assert await pauses.resume(ledger, said(scope)) == 1
    assert await pauses.resume(ledger, said(scope)) == 0

    assert (await start(ledger)).ids == [ours]
    noted = owner.execute(
        "SELECT action, actor, subject, detail ->> 'reason' FROM fleet.audit_log ORDER BY id"
    ).fetchall()
    assert noted == [(action, "ada", scope.key, "wrong text") for action in ("pause", "resume")]


async def test_what_was_claimed_before_does_not_start(ledger: Pool, owner: psycopg.Connection) -> None:
    id_ = insert(owner)
    claim = await claimed(ledger)
    await pauses.pause(ledger, said(Scope()))

    assert (await start(ledger, claim=claim)).ids == []
    assert (status_of(owner, id_), column_of(owner, id_, "attempts")) == ("scheduled", 0)


async def test_a_pause_ends_by_itself_and_a_hold_by_its_release(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner)
    await pauses.pause(ledger, said(Scope(channel="email")), until=datetime.now(UTC) + timedelta(hours=2))
    await pauses.pause(ledger, said(Scope(channel="email"), Kind.HOLD))
    assert await pauses.standing(ledger) == {"channel:email"}

    travel(owner, 7300)
    assert (await start(ledger)).ids == []
    assert await pauses.resume(ledger, said(Scope(channel="email"))) == 0, "it has ended"
    assert await pauses.resume(ledger, said(Scope(channel="email"), Kind.HOLD)) == 1
    assert len((await start(ledger)).ids) == 1
    assert await pauses.standing(ledger) == frozenset()


@pytest.fixture(scope="module")
def database(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        yield connection


@given(
    st.sampled_from(list(Channel)),
    st.sampled_from(["resend", "twilio"]),
    st.none() | st.just(WORKSPACE),
    st.none() | st.just(CAMPAIGN),
)
def test_workers_and_the_database_name_the_same_scopes(
    database: psycopg.Connection, channel: Channel, provider: str, workspace: UUID | None, campaign: UUID | None
) -> None:
    of_database = database.execute(
        "SELECT fleet.scope_keys(%s, %s, %s, %s)", (channel.value, provider, workspace, campaign)
    ).fetchone()
    assert of_database is not None
    assert keys_of(channel.value, provider, workspace, campaign) == {key for key in of_database[0] if key}


# Scopes that a message of ours belongs to, and what of them there is beside it.
HELD: list[tuple[Scope, dict[str, Any]]] = [
    (Scope(), {}),
    (Scope(channel="sms"), {}),
    (Scope(provider="twilio"), {}),
    (Scope(workspace_id=WORKSPACE), {"workspace_id": WORKSPACE}),
    (Scope(workspace_id=WORKSPACE, provider="twilio"), {"workspace_id": WORKSPACE}),
    (Scope(workspace_id=WORKSPACE, campaign_id=CAMPAIGN), {"workspace_id": WORKSPACE, "campaign_id": CAMPAIGN}),
    (Scope(campaign_id=CAMPAIGN), {"campaign_id": CAMPAIGN}),
]


@pytest.mark.parametrize(("scope", "columns"), HELD, ids=[scope.key.split(":")[0] for scope, _ in HELD])
async def test_what_has_started_and_not_left_is_given_back(
    still: Runtime,
    vendors: Vendors,
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    scope: Scope,
    columns: dict[str, Any],
) -> None:
    """The pause commits between the start and the request."""
    id_ = insert(owner, "sms", **columns)
    began = starts.start

    async def start_and_pause(*arguments: Any, **named: Any) -> Any:
        started = await began(*arguments, **named)
        assert status_of(owner, id_) == "sending"
        await pauses.pause(still.pool, said(scope))
        await still.sender._pauses.look(is_busy=True)
        return started

    monkeypatch.setattr(starts, "start", start_and_pause)
    await deliver(still, Channel.SMS)

    assert (status_of(owner, id_), column_of(owner, id_, "error_code")) == ("scheduled", "paused")
    assert attempts_of(owner, id_) == [(1, "later", False)]
    assert (await vendors.stats())["totals"]["requests"] == 0

    monkeypatch.setattr(starts, "start", began)
    await pauses.resume(still.pool, said(scope))
    await still.sender._pauses.look(is_busy=True)
    travel(owner, 60)
    await deliver(still, Channel.SMS)
    assert status_of(owner, id_) == "sent"
    assert (await vendors.stats())["totals"]["accepted"] == 1


async def test_a_pause_of_others_withholds_nothing(worker: Runtime, owner: psycopg.Connection) -> None:
    id_ = insert(owner, "sms", workspace_id=WORKSPACE, campaign_id=CAMPAIGN)
    for scope in (
        Scope(channel="email"),
        Scope(provider="vapi"),
        Scope(workspace_id=uuid4()),
        Scope(campaign_id=uuid4()),
    ):
        await pauses.pause(worker.pool, said(scope))
    await pauses.pause(worker.pool, said(Scope(workspace_id=uuid4(), provider="twilio")))
    await worker.sender._pauses.look(is_busy=True)

    await deliver(worker, Channel.SMS)

    assert status_of(owner, id_) == "sent"


async def test_a_replay_is_held_by_a_stop_of_everything_alone(
    worker: Runtime, vendors: Vendors, owner: psycopg.Connection
) -> None:
    id_ = insert(owner)
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(worker)
    travel(owner, 10)

    await pauses.pause(worker.pool, said(Scope()))
    assert await replay(worker) == 0
    assert await pauses.resume(worker.pool, said(Scope())) == 1
    await pauses.pause(worker.pool, said(Scope(channel="email")))
    assert await replay(worker) == 1

    assert status_of(owner, id_) == "sent"
    assert (await vendors.stats())["resend"]["accepted"] == 1


async def test_a_replay_on_its_way_stops_with_everything(
    still: Runtime, vendors: Vendors, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has begun, and leaves nothing behind that says it was refused: its message stays unknown, to be replayed."""
    id_ = insert(owner)
    await vendors.fault(vendor="resend", kind="accept_then_drop", count=1)
    await deliver(still)
    travel(owner, 10)
    began = batches.begin_replay

    async def begin_and_stop(*arguments: Any, **named: Any) -> Any:
        begun = await began(*arguments, **named)
        await pauses.pause(still.pool, said(Scope()))
        await still.sender._pauses.look(is_busy=True)
        return begun

    monkeypatch.setattr(batches, "begin_replay", begin_and_stop)
    assert await replay(still) == 1
    assert (status_of(owner, id_), (await vendors.stats())["resend"]["requests"]) == ("unknown", 1)

    monkeypatch.setattr(batches, "begin_replay", began)
    await pauses.resume(still.pool, said(Scope()))
    await still.sender._pauses.look(is_busy=True)
    travel(owner, 100)
    assert await replay(still) == 1
    assert status_of(owner, id_) == "sent"
    assert (await vendors.stats())["resend"]["accepted"] == 1


async def test_while_nothing_stands_no_scope_is_worked_out(ledger: Pool) -> None:
    def never() -> set[str]:
        raise AssertionError("worked out in vain")

    known = Pauses(ledger)
    assert known.holding(never, tainted=False) is None
    await pauses.pause(ledger, said(Scope(channel="sms")))
    await known.look(is_busy=False)
    assert known.holding(never, tainted=False) is None, "an idle process has forgotten"
    await known.look(is_busy=True)
    assert known.holding(lambda: {"channel:sms"}, tainted=False) == "channel:sms"
    assert known.holding(never, tainted=True) is None


async def test_a_worker_reads_that_it_is_to_retire_when_it_announces_itself(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    here = presence.Presence(uuid4(), "host", 1, ["email"], 4, "0")
    assert not await presence.announce(ledger, here, 0)
    assert [one.retiring for one in await presence.present(ledger)] == [False]
    assert not await presence.retire(ledger, uuid4(), actor="ada")
    assert await presence.retire(ledger, here.id, actor="ada")

    assert await presence.announce(ledger, here, 0)
    assert [one.retiring for one in await presence.present(ledger)] == [True]
    noted = owner.execute("SELECT action, actor, subject FROM fleet.audit_log").fetchall()
    assert noted == [("retire", "ada", str(here.id))]
