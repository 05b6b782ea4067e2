"""Campaign figures: what each counts, whose messages, and that every way of counting comes to the same."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from campaigns import metrics
from config.channels import Channel
from config.database import Pool, run
from config.vocabulary import Kind
from outbox import decisions, events
from outbox.events import Report
from outbox.search import cancel, retry
from outbox.settlements import Ended, settle
from outbox.states import Status
from providers.base import PROVIDER_WIDE, attempt_id
from scheduler.metrics import CampaignMetrics
from tests.factories import insert, status_of, travel
from tests.started import Started, start

Figures = dict[str, int]
COLUMNS = {
    "sent": "sent_count",
    "delivered": "delivered_count",
    "opened": "open_count",
    "clicked": "clicks",
    "bounced": "bounce_count",
    "unsubscribed": "unsubscribe_count",
}


def add(owner: psycopg.Connection, table: str, **columns: Any) -> UUID:
    """Insert one row of the platform's."""
    values = {"id": uuid4(), **columns}
    owner.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        ),
        values,
    )
    found: UUID = values["id"]
    return found


def workspace(owner: psycopg.Connection) -> UUID:
    return add(owner, "workspaces", name="w", slug=str(uuid4()))


def campaign(owner: psycopg.Connection, workspace_id: UUID | None = None) -> UUID:
    return add(owner, "campaigns", name="c", workspace_id=workspace_id or workspace(owner))


def workspace_of(owner: psycopg.Connection, campaign_id: UUID) -> UUID:
    row = owner.execute("SELECT workspace_id FROM campaigns WHERE id = %s", (campaign_id,)).fetchone()
    assert row
    found: UUID = row[0]
    return found


def put_in(owner: psycopg.Connection, campaign_id: UUID, **columns: Any) -> UUID:
    """One message of the campaign's own workspace."""
    return insert(
        owner, "sms", campaign_id=campaign_id, **{"workspace_id": workspace_of(owner, campaign_id), **columns}
    )


def rows(owner: psycopg.Connection, campaign_id: UUID) -> list[dict[str, Any]]:
    with owner.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        query = "SELECT * FROM campaign_metrics WHERE campaign_id = %s ORDER BY created_at, id"
        return cursor.execute(query, (campaign_id,)).fetchall()


def figures(owner: psycopg.Connection, campaign_id: UUID) -> Figures:
    """What the campaign's one row says, without what is nought."""
    (row,) = rows(owner, campaign_id)
    assert row["data_mode"] == "real"
    return {name: row[column] for name, column in COLUMNS.items() if row[column]}


async def begun(pool: Pool) -> Started:
    return await start(pool, Channel.SMS, provider="twilio", body=None)


async def end(pool: Pool, started: Started, *statuses: Status) -> None:
    """Settle the members, each with its status; the last status is that of the rest."""
    padded = itertools.chain(statuses, itertools.repeat(statuses[-1]))
    answers = [
        started.settlement(id_, status, provider="twilio", provider_message_id=vendor_id(started, id_, status))
        for id_, status in zip(started.ids, padded, strict=False)
    ]
    await settle(pool, answers, [Ended(started.send_key, started.lease)], worker="test")


def vendor_id(started: Started, id_: UUID, status: Status = Status.SENT) -> str | None:
    return f"SM{started.send_key.hex[:8]}{id_.hex}" if status is Status.SENT else None


def report(started: Started, id_: UUID, kind: Kind, **columns: Any) -> Report:
    values: dict[str, Any] = {
        "provider": "twilio",
        "tenant_id": PROVIDER_WIDE,
        "event_id": str(uuid4()),
        "kind": kind,
        "provider_message_id": vendor_id(started, id_),
        "message_id": id_,
        "attempt_id": attempt_id(started.send_key, id_),
        "body": {},
    }
    return Report(**{**values, **columns})


async def tell(pool: Pool, *reports: Report) -> None:
    await events.store(pool, reports)
    await events.apply(pool, await events.claim(pool, limit=1000, lease_seconds=60))


async def count(pool: Pool, owner: psycopg.Connection) -> int:
    """Fold and count what is due; the rests are over."""
    owner.execute("UPDATE fleet.campaign_rollups SET next_at = '-infinity'")
    await metrics.fold(pool, limit=1000)
    return await metrics.roll_up(pool, limit=1000)


HISTORIES: list[tuple[Status | None, list[Kind], Figures]] = [
    (None, [], {}),
    (Status.SCHEDULED, [], {}),
    (Status.FAILED, [], {}),
    (Status.UNKNOWN, [], {}),
    (Status.SENT, [], {"sent": 1}),
    (Status.UNKNOWN, [Kind.ACCEPTED], {"sent": 1}),
    (Status.SCHEDULED, [Kind.ACCEPTED], {"sent": 1}),
    (Status.UNKNOWN, [Kind.DELIVERED], {"sent": 1, "delivered": 1}),
    (Status.SENT, [Kind.DELIVERED, Kind.DELIVERED], {"sent": 1, "delivered": 1}),
    (Status.SENT, [Kind.OPENED, Kind.OPENED], {"sent": 1, "delivered": 1, "opened": 1}),
    (Status.SENT, [Kind.CLICKED], {"sent": 1, "delivered": 1, "clicked": 1}),
    (Status.SENT, [Kind.BOUNCED], {"sent": 1, "bounced": 1}),
    (Status.SENT, [Kind.DELIVERED, Kind.BOUNCED], {"sent": 1, "delivered": 1, "bounced": 1}),
    (Status.SENT, [Kind.SOFT_BOUNCED], {"sent": 1, "bounced": 1}),
    (Status.SENT, [Kind.SOFT_BOUNCED, Kind.DELIVERED], {"sent": 1, "delivered": 1}),
    (Status.SENT, [Kind.FAILED], {"sent": 1}),
    (Status.SENT, [Kind.BLOCKED], {"sent": 1}),
    (Status.SENT, [Kind.COMPLAINED], {"sent": 1, "delivered": 1}),
    (Status.SENT, [Kind.DELIVERED, Kind.UNSUBSCRIBED], {"sent": 1, "delivered": 1, "unsubscribed": 1}),
    (Status.SENT, [Kind.DELIVERED, Kind.STOPPED, Kind.UNSUBSCRIBED], {"sent": 1, "delivered": 1, "unsubscribed": 1}),
    (Status.SENT, [Kind.REPLIED, Kind.RESUMED], {"sent": 1}),
]


@pytest.mark.parametrize(("status", "kinds", "expected"), HISTORIES, ids=str)
async def test_what_each_figure_counts(
    ledger: Pool, owner: psycopg.Connection, status: Status | None, kinds: list[Kind], expected: Figures
) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    if status:
        started = await begun(ledger)
        await end(ledger, started, status)
        await tell(ledger, *(report(started, id_, kind) for kind in kinds))

    await count(ledger, owner)
    assert (figures(owner, campaign_id) if rows(owner, campaign_id) else {}) == expected

    await metrics.recompute(ledger, [campaign_id])
    assert figures(owner, campaign_id) == expected


@pytest.mark.parametrize("order", list(itertools.permutations([Kind.SOFT_BOUNCED, Kind.DELIVERED, Kind.OPENED])))
async def test_any_order_comes_to_the_same(ledger: Pool, owner: psycopg.Connection, order: tuple[Kind, ...]) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    for kind in order:
        await tell(ledger, report(started, id_, kind))
        await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 1, "delivered": 1, "opened": 1}


async def test_an_event_that_came_before_its_settlement_counts_once_it_is_applied(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    started = await begun(ledger)
    await tell(ledger, report(started, id_, Kind.CLICKED))
    await metrics.recompute(ledger, [campaign_id])
    assert "clicked" not in figures(owner, campaign_id)

    await end(ledger, started, Status.SENT)
    travel(owner, 5)
    await tell(ledger)
    await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 1, "delivered": 1, "clicked": 1}


async def test_applying_every_event_a_second_time_changes_no_figure(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    for _ in range(8):
        put_in(owner, campaign_id)
    started = await begun(ledger)
    await end(ledger, started, Status.SENT, Status.UNKNOWN, Status.SENT)
    kinds = [Kind.DELIVERED, Kind.OPENED, Kind.CLICKED, Kind.BOUNCED, Kind.SOFT_BOUNCED, Kind.STOPPED, Kind.FAILED]
    told = zip(started.ids, itertools.cycle(kinds), strict=False)
    await tell(ledger, *(report(started, id_, kind) for id_, kind in told))
    await count(ledger, owner)
    before = figures(owner, campaign_id)

    owner.execute("UPDATE fleet.events SET applied_at = NULL, next_try_at = now() - interval '1 second'")
    await tell(ledger)
    assert owner.execute("SELECT count(*) FROM fleet.events WHERE applied_at IS NULL").fetchone() == (0,)
    await count(ledger, owner)

    assert figures(owner, campaign_id) == before
    assert before["sent"] == 8


async def test_an_accepted_message_stays_sent_when_a_person_tries_it_again_or_takes_it_back(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    campaign_id = campaign(owner)
    again, back = put_in(owner, campaign_id), put_in(owner, campaign_id)
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    await tell(ledger, *(report(started, id_, Kind.SOFT_BOUNCED) for id_ in (again, back)))
    await count(ledger, owner)
    assert figures(owner, campaign_id) == {"sent": 2, "bounced": 2}

    assert await retry(ledger, [again, back], actor="test") == {again, back}
    await cancel(ledger, [back], actor="test")
    await count(ledger, owner)

    assert (status_of(owner, again), status_of(owner, back)) == ("scheduled", "cancelled")
    assert figures(owner, campaign_id) == {"sent": 2}


async def test_proof_of_a_message_that_was_taken_back_counts(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    started = await begun(ledger)
    await end(ledger, started, Status.SCHEDULED)
    await cancel(ledger, [id_], actor="test")
    await tell(ledger, report(started, id_, Kind.DELIVERED))

    await count(ledger, owner)

    assert (status_of(owner, id_), figures(owner, campaign_id)) == ("cancelled", {"sent": 1})


async def test_what_a_person_says_arrived_is_sent(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.UNKNOWN)
    await decisions.arrived(ledger, [id_], actor="test")

    await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 1}


async def test_only_messages_of_the_campaigns_own_workspace_count(ledger: Pool, owner: psycopg.Connection) -> None:
    own = workspace(owner)
    campaign_id, tenant_id = campaign(owner, own), uuid4()
    add(owner, "cmo_campaigns", id=campaign_id, workspace_id=own, tenant_id=tenant_id, campaign_name="c")
    for columns in (
        {"workspace_id": own},
        {"workspace_id": own, "tenant_id": uuid4()},
        {"workspace_id": None, "tenant_id": own},
        {"workspace_id": None, "tenant_id": tenant_id},
        {"workspace_id": uuid4()},  # the others are not the campaign's
        {"workspace_id": uuid4(), "tenant_id": tenant_id},
        {"workspace_id": uuid4(), "tenant_id": own},
        {"workspace_id": None, "tenant_id": uuid4()},
    ):
        put_in(owner, campaign_id, **columns)
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    await tell(ledger, *(report(started, id_, Kind.CLICKED) for id_ in started.ids))

    await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 4, "delivered": 4, "clicked": 4}


async def test_a_campaign_that_only_others_name_has_no_figures(ledger: Pool, owner: psycopg.Connection) -> None:
    mine, launched = campaign(owner), add(owner, "cmo_campaigns", workspace_id=workspace(owner), campaign_name="c")
    for campaign_id in (mine, launched):
        insert(owner, "sms", campaign_id=campaign_id, workspace_id=uuid4())
    await end(ledger, await begun(ledger), Status.SENT)

    assert await count(ledger, owner) == 2
    assert await metrics.recompute(ledger, [mine, launched]) == 0

    assert (rows(owner, mine), rows(owner, launched)) == ([], [])
    assert owner.execute("SELECT count(*) FROM campaigns WHERE id = %s", (launched,)).fetchone() == (0,)


async def test_another_tenants_campaign_of_the_same_id_changes_nothing(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id, other = campaign(owner), workspace(owner)
    add(owner, "cmo_campaigns", id=campaign_id, workspace_id=other, tenant_id=other, campaign_name="mine too")
    put_in(owner, campaign_id)
    insert(owner, "sms", campaign_id=campaign_id, workspace_id=other)
    await end(ledger, await begun(ledger), Status.SENT)

    await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 1}


async def test_a_launched_campaign_gets_its_row(ledger: Pool, owner: psycopg.Connection) -> None:
    own = workspace(owner)
    campaign_id = add(
        owner,
        "cmo_campaigns",
        workspace_id=own,
        tenant_id=uuid4(),
        campaign_name="Spring",
        channels=["sms", "email"],
        status="in_progress",
    )
    insert(owner, "sms", campaign_id=campaign_id, workspace_id=own)
    await end(ledger, await begun(ledger), Status.SENT)

    await count(ledger, owner)

    made = owner.execute("SELECT workspace_id, name, channel, status FROM campaigns WHERE id = %s", (campaign_id,))
    assert made.fetchall() == [(own, "Spring", "sms", "active")]
    assert figures(owner, campaign_id) == {"sent": 1}
    await metrics.recompute(ledger, [campaign_id])
    assert figures(owner, campaign_id) == {"sent": 1}


async def test_a_campaign_of_a_tenant_without_a_workspace(ledger: Pool, owner: psycopg.Connection) -> None:
    tenant_id = workspace(owner)
    campaign_id = add(owner, "cmo_campaigns", workspace_id=None, tenant_id=tenant_id, campaign_name="c")
    insert(owner, "sms", campaign_id=campaign_id, workspace_id=uuid4(), tenant_id=tenant_id)
    insert(owner, "sms", campaign_id=campaign_id, workspace_id=None, tenant_id=tenant_id)
    insert(owner, "sms", campaign_id=campaign_id, workspace_id=uuid4(), tenant_id=uuid4())
    await end(ledger, await begun(ledger), Status.SENT)

    for _ in range(2):
        await metrics.recompute(ledger, [campaign_id])
        assert figures(owner, campaign_id) == {"sent": 2}


async def test_what_is_no_campaign_is_said_once_and_harms_nothing(
    ledger: Pool, owner: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(owner, "sms", campaign_id=uuid4())
    homeless = add(owner, "cmo_campaigns", workspace_id=None, tenant_id=uuid4(), campaign_name="c")
    insert(owner, "sms", campaign_id=homeless)
    await end(ledger, await begun(ledger), Status.SENT)

    folded = await metrics.fold(ledger, limit=10)
    assert (len(folded.nowhere), folded.due) == (1, frozenset({homeless}))
    assert await metrics.roll_up(ledger, limit=10) == 1

    assert owner.execute("SELECT count(*) FROM campaign_metrics").fetchone() == (0,)
    assert owner.execute("SELECT campaign_id, counted FROM fleet.campaign_rollups").fetchall() == [(homeless, 1)]
    assert await metrics.roll_up(ledger, limit=10) == 0


async def test_demonstration_figures_and_other_columns_stay_as_they_are(
    ledger: Pool, owner: psycopg.Connection
) -> None:
    campaign_id = campaign(owner)
    old, new = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    demo = {"sent_count": 7, "clicks": 7, "created_at": datetime(2025, 1, 1, tzinfo=UTC)}
    untouched = [
        add(owner, "campaign_metrics", campaign_id=campaign_id, data_mode="demo", **demo),
        add(owner, "campaign_metrics", campaign_id=campaign_id, data_mode=None, **demo),
        add(owner, "campaign_metrics", campaign_id=campaign_id, data_mode="real", created_at=new, sent_count=3),
    ]
    real = {"impressions": 11, "revenue": 12, "shares": 13, "sent_count": 99, "created_at": old}
    ours = add(owner, "campaign_metrics", campaign_id=campaign_id, data_mode="real", **real)
    put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.SENT)
    before = {row["id"]: row for row in rows(owner, campaign_id)}

    await count(ledger, owner)

    after = {row["id"]: row for row in rows(owner, campaign_id)}
    assert all(after[id_] == before[id_] for id_ in untouched)
    changed = {name for name, value in after[ours].items() if value != before[ours][name]}
    assert changed == {"sent_count", "last_synced_at", "updated_at"}
    assert after[ours]["sent_count"] == 1
    assert len(after) == 4


async def test_the_fleets_own_row_is_kept_to(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    put_in(owner, campaign_id)
    await metrics.recompute(ledger, [campaign_id])
    older = datetime(2020, 1, 1, tzinfo=UTC)
    add(owner, "campaign_metrics", campaign_id=campaign_id, data_mode="real", created_at=older, impressions=5)
    await end(ledger, await begun(ledger), Status.SENT)
    await count(ledger, owner)

    assert {row["id"]: row["sent_count"] for row in rows(owner, campaign_id)}[metrics.row_id(campaign_id)] == 1

    owner.execute("UPDATE campaign_metrics SET data_mode = 'demo'")
    await metrics.recompute(ledger, [campaign_id])
    assert [row["data_mode"] for row in rows(owner, campaign_id)] == ["demo", "demo"]


async def test_a_message_without_a_campaign_leaves_no_hint(ledger: Pool, owner: psycopg.Connection) -> None:
    insert(owner, "sms")
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    await tell(ledger, report(started, started.ids[0], Kind.DELIVERED))

    assert owner.execute("SELECT count(*) FROM fleet.campaign_hints").fetchone() == (0,)


async def test_a_settlement_hints_once_for_each_campaign(ledger: Pool, owner: psycopg.Connection) -> None:
    campaigns = [campaign(owner), campaign(owner)]
    for number in range(6):
        put_in(owner, campaigns[number % 2])
    await end(ledger, await begun(ledger), Status.SENT)

    hinted = owner.execute("SELECT campaign_id FROM fleet.campaign_hints").fetchall()
    assert sorted(hinted) == sorted((id_,) for id_ in campaigns)


async def test_the_sweep_finds_what_no_hint_says(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id, quiet = campaign(owner), campaign(owner)
    put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.SENT)
    put_in(owner, quiet)
    owner.execute("DELETE FROM fleet.campaign_hints")
    assert await count(ledger, owner) == 0

    keeper = CampaignMetrics(ledger)
    assert await keeper.run_once() == 0
    assert await keeper.run_once() == 1

    assert figures(owner, campaign_id) == {"sent": 1}
    assert rows(owner, quiet) == []
    travel(owner, 10_000)
    assert await metrics.sweep(ledger, since_seconds=60) == 0


async def test_the_sweep_finds_late_events(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    id_ = put_in(owner, campaign_id)
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    owner.execute("UPDATE fleet.attempts SET finished_at = now() - interval '3 days'")
    await tell(ledger, report(started, id_, Kind.OPENED))
    owner.execute("DELETE FROM fleet.campaign_hints")

    assert await metrics.sweep(ledger, since_seconds=60) == 1


async def test_a_campaign_rests_after_it_was_counted(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    ids = [put_in(owner, campaign_id) for _ in range(2)]
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    loop = CampaignMetrics(ledger)
    assert await loop.run_once() == 1
    await tell(ledger, *(report(started, id_, Kind.DELIVERED) for id_ in ids))

    assert await loop.run_once() == 0
    travel(owner, metrics.REST_SECONDS - 1)
    assert await loop.run_once() == 0
    assert figures(owner, campaign_id) == {"sent": 2}

    travel(owner, 120)
    assert await loop.run_once() == 1
    assert figures(owner, campaign_id) == {"sent": 2, "delivered": 2}
    travel(owner, 240)
    assert await loop.run_once() == 0


async def test_the_rest_is_in_proportion_to_the_cost(
    ledger: Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = campaign(owner), campaign(owner)
    for campaign_id in (large, large, large, small):
        put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.SENT)
    seconds = iter((100.0, 104.0))
    monkeypatch.setattr(metrics, "monotonic", lambda: next(seconds))
    await count(ledger, owner)

    query = "SELECT campaign_id, extract(epoch FROM next_at - now()) FROM fleet.campaign_rollups"
    rests: dict[UUID, Any] = dict(owner.execute(query).fetchall())
    assert {id_: round(float(rest), -1) for id_, rest in rests.items()} == {large: 60, small: 20}


async def test_what_changes_while_it_is_counted_is_counted_afterwards(ledger: Pool, owner: psycopg.Connection) -> None:
    """The count waits for nobody and nobody for it: a fold goes on, and its change is not taken for counted."""
    campaign_id = campaign(owner)
    ids = [put_in(owner, campaign_id) for _ in range(2)]
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    await metrics.fold(ledger, limit=10)
    key = owner.execute("SELECT hashtextextended('campaign ' || %s::uuid, 0)", (campaign_id,)).fetchone()
    assert key
    with owner.transaction():
        owner.execute("SELECT pg_advisory_xact_lock(%s)", key)
        assert await metrics.roll_up(ledger, limit=10) == 1  # another has it: it is left as it is
        await tell(ledger, report(started, ids[0], Kind.DELIVERED))
        await metrics.fold(ledger, limit=10)
    assert rows(owner, campaign_id) == []
    assert owner.execute("SELECT changes, counted FROM fleet.campaign_rollups").fetchall() == [(2, 0)]

    await count(ledger, owner)

    assert figures(owner, campaign_id) == {"sent": 2, "delivered": 1}
    assert owner.execute("SELECT changes, counted FROM fleet.campaign_rollups").fetchall() == [(2, 2)]


async def test_schedulers_at_work_together_count_as_one_would(ledger: Pool, owner: psycopg.Connection) -> None:
    campaigns = [campaign(owner) for _ in range(5)]
    for number in range(60):
        put_in(owner, campaigns[number % 5])
    started = await begun(ledger)
    await end(ledger, started, Status.SENT)
    ending = asyncio.Event()

    async def schedule() -> None:
        while not ending.is_set():
            await metrics.fold(ledger, limit=3)
            await metrics.roll_up(ledger, limit=2)
            await run(ledger, b"UPDATE fleet.campaign_rollups SET next_at = '-infinity' WHERE next_at > now()")

    async def be_told() -> None:
        for id_ in started.ids:
            await tell(ledger, report(started, id_, Kind.OPENED))
        ending.set()

    await asyncio.gather(schedule(), schedule(), be_told())
    while await count(ledger, owner):
        pass

    assert [figures(owner, id_) for id_ in campaigns] == [{"sent": 12, "delivered": 12, "opened": 12}] * 5


async def test_a_count_that_dies_loses_no_change(ledger: Pool, owner: psycopg.Connection) -> None:
    campaign_id = campaign(owner)
    put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.SENT)
    await metrics.fold(ledger, limit=10)
    owner.execute("ALTER TABLE fleet.campaign_rollups ADD CONSTRAINT dies CHECK (counted = 0)")
    await metrics.roll_up(ledger, limit=10)  # its last statement is refused, and so all of it

    assert rows(owner, campaign_id) == []
    owner.execute("ALTER TABLE fleet.campaign_rollups DROP CONSTRAINT dies")
    await count(ledger, owner)
    assert figures(owner, campaign_id) == {"sent": 1}


async def test_a_campaign_that_the_database_refuses_stops_no_other(ledger: Pool, owner: psycopg.Connection) -> None:
    good, bad = campaign(owner), campaign(owner)
    for campaign_id in (good, bad):
        put_in(owner, campaign_id)
    await end(ledger, await begun(ledger), Status.SENT)
    owner.execute(
        sql.SQL("ALTER TABLE campaign_metrics ADD CONSTRAINT no CHECK (campaign_id <> {})").format(sql.Literal(bad))
    )

    assert await count(ledger, owner) == 2

    assert figures(owner, good) == {"sent": 1}
    assert rows(owner, bad) == []
    assert await metrics.roll_up(ledger, limit=10) == 0
    owner.execute("ALTER TABLE campaign_metrics DROP CONSTRAINT no")
    travel(owner, metrics.REFUSED_SECONDS + 1)
    await metrics.roll_up(ledger, limit=10)
    assert figures(owner, bad) == {"sent": 1}


async def test_every_campaign_that_messages_name_is_named_once(ledger: Pool, owner: psycopg.Connection) -> None:
    named = sorted(uuid4() for _ in range(5))
    for campaign_id in [*named, *named, None]:
        insert(owner, "sms", campaign_id=campaign_id)

    assert await metrics.named(ledger, limit=3) == named[:3]
    assert await metrics.named(ledger, after=named[2], limit=3) == named[3:]
    assert await metrics.named(ledger, after=named[4], limit=3) == []


async def test_figures_that_somebody_holds_keep_nobody_elses_waiting(
    ledger: Pool, owner: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "LOCK_SECONDS", 1)
    held, free = campaign(owner), campaign(owner)
    for id_ in (held, free):
        put_in(owner, id_)
    await end(ledger, await begun(ledger), Status.SENT)
    await count(ledger, owner)
    for id_ in (held, free):
        put_in(owner, id_)
    await end(ledger, await begun(ledger), Status.SENT)

    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT FROM campaign_metrics WHERE campaign_id = %s FOR UPDATE", (held,))
        await count(ledger, owner)

        assert figures(owner, free) == {"sent": 2}
        assert figures(owner, held) == {"sent": 1}
