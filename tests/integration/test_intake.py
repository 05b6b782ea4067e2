"""The group commit: many callbacks in one statement, and none at the mercy of its neighbours."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from config.database import Pool
from config.vocabulary import Kind
from console import intake as bounds
from console.gathering import Overloaded
from console.intake import Intake, Unstorable
from outbox.events import Report

CALLBACKS = 100


def report(**columns: Any) -> Report:
    values: dict[str, Any] = {"provider": "twilio", "tenant_id": UUID(int=0), "event_id": str(uuid4())}
    return Report(**{**values, "kind": Kind.DELIVERED, "code": "fine", "body": {"said": "fine"}, **columns})


def stored(owner: psycopg.Connection) -> dict[str, Any]:
    return dict(owner.execute("SELECT event_id, code FROM fleet.events").fetchall())


async def together(intake: Intake, reports: Sequence[Report]) -> list[BaseException | None]:
    return list(await asyncio.gather(*(intake.store([one]) for one in reports), return_exceptions=True))


async def test_what_comes_together_is_committed_together(ledger: Pool, owner: psycopg.Connection) -> None:
    reports = [report() for _ in range(CALLBACKS)]

    assert await together(Intake(ledger), [*reports, *reports]) == [None] * 2 * CALLBACKS

    assert stored(owner).keys() == {one.event_id for one in reports}
    commits = owner.execute("SELECT count(DISTINCT xmin::text) FROM fleet.events").fetchone()
    assert commits is not None
    assert commits[0] <= 2


async def test_what_the_database_refuses_harms_no_neighbour(ledger: Pool, owner: psycopg.Connection) -> None:
    owner.execute("ALTER TABLE fleet.events ADD CHECK (code <> 'wrong words'), ADD CHECK (event_id !~ '^never')")
    fine = [report() for _ in range(20)]
    wordy = [report(code="wrong words") for _ in range(2)]
    never = [report(event_id=f"never {number}") for number in range(2)]
    mixed = [*fine[:5], wordy[0], never[0], *fine[5:15], never[1], wordy[1], *fine[15:]]

    answered = dict(zip([one.event_id for one in mixed], await together(Intake(ledger), mixed), strict=True))

    assert {type(answered[one.event_id]) for one in never} == {Unstorable}
    assert {answered[one.event_id] for one in (*fine, *wordy)} == {None}
    found = stored(owner)
    assert found == {one.event_id: "fine" for one in fine} | {one.event_id: None for one in wordy}


async def test_a_database_that_comes_back_in_time_is_waited_for(ledger: Pool, owner: psycopg.Connection) -> None:
    intake = Intake(ledger)
    await together(intake, [report() for _ in range(5)])
    for _ in range(3):
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await together(intake, [report() for _ in range(5)]) == [None] * 5
    assert len(stored(owner)) == 20


async def test_one_that_does_not_answer_is_not_waited_for_long(ledger: Pool, owner: psycopg.Connection) -> None:
    intake = Intake(ledger, hold_seconds=0.2)
    with owner.transaction():
        owner.execute("LOCK TABLE fleet.events")
        assert [type(one) for one in await together(intake, [report() for _ in range(5)])] == [TimeoutError] * 5
    assert await together(intake, [report()]) == [None]


async def test_nobody_waits_longer_for_the_rounds_before_theirs(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ROUND_LIMIT", 1)
    intake = Intake(ledger, hold_seconds=0.5)
    began = asyncio.get_running_loop().time()
    with owner.transaction():
        owner.execute("LOCK TABLE fleet.events")
        assert [type(one) for one in await together(intake, [report() for _ in range(8)])] == [TimeoutError] * 8
        assert asyncio.get_running_loop().time() - began < 2.0
    assert await together(intake, [report()]) == [None]


async def test_what_one_who_left_wanted_stored_counts_until_its_round_is_done(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "WAITING_BYTES_LIMIT", 5_000)
    intake, large = Intake(ledger), {"said": "x" * 3_000}
    with owner.transaction():
        owner.execute("LOCK TABLE fleet.events")
        leaves = asyncio.create_task(intake.store([report(body=large)]))
        while owner.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is None:
            await asyncio.sleep(0.01)
        leaves.cancel()
        await asyncio.gather(leaves, return_exceptions=True)
        assert [type(one) for one in await together(intake, [report(body=large)])] == [Overloaded]
    await intake.store([report()])
    assert await together(intake, [report(body=large)]) == [None]


async def test_what_waits_is_bounded_in_bytes(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "WAITING_BYTES_LIMIT", 5_000)
    intake = Intake(ledger)
    answered = await together(intake, [report(body={"said": "x" * 2_000}) for _ in range(4)])

    assert [type(one) for one in answered] == [type(None)] * 2 + [Overloaded] * 2
    assert await together(intake, [report()]) == [None], "what was answered waits no more"
    assert len(stored(owner)) == 3


async def test_what_is_stored_together_keeps_its_order(ledger: Pool, owner: psycopg.Connection) -> None:
    reports = [report(event_id=uuid4().hex) for _ in range(CALLBACKS)]

    await together(Intake(ledger), reports)

    for order in ("id", "occurred_at"):
        found = owner.execute(f"SELECT event_id FROM fleet.events ORDER BY {order}").fetchall()
        assert [row[0] for row in found] == [one.event_id for one in reports], "a STOP before its START"
