"""Any history of a campaign: figures that were kept up to date, figures from scratch, and a count by hand are equal."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import metrics
from config.database import Pool, pool
from config.settings import load
from config.vocabulary import Kind
from outbox import decisions
from outbox.search import cancel, retry
from outbox.states import Status
from tests.factories import insert
from tests.integration.test_campaign_metrics import COLUMNS, begun, campaign, count, end, report, tell, workspace_of
from tests.started import Started

TABLES = (
    "channel_outbox, fleet.attempts, fleet.batches, fleet.unknowns, fleet.events, fleet.suppressions,"
    " fleet.campaign_hints, fleet.campaign_rollups, campaign_metrics"
)
EXAMPLES, STEPS = 25, 14
KINDS = (
    *(Kind.ACCEPTED, Kind.DELIVERED, Kind.OPENED, Kind.CLICKED, Kind.BOUNCED, Kind.SOFT_BOUNCED),
    *(Kind.FAILED, Kind.COMPLAINED, Kind.STOPPED, Kind.UNSUBSCRIBED),
)
ENDS = st.sampled_from([Status.SENT, Status.SENT, Status.SENT, Status.FAILED, Status.SCHEDULED, Status.UNKNOWN])
Step = Callable[[st.DataObject], None]


DECISIONS: tuple[Callable[..., Coroutine[Any, Any, object]], ...] = (retry, cancel, decisions.arrived)


@dataclass
class World:
    """One campaign, its messages and those of others that name it."""

    owner: psycopg.Connection
    pool: Pool
    do: Callable[[Coroutine[Any, Any, Any]], Any]
    campaign_id: UUID
    tried: list[tuple[Started, UUID]] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)

    def begin(self) -> None:
        self.owner.execute(f"TRUNCATE {TABLES}".encode())
        self.tried, self.ids = [], []
        own = workspace_of(self.owner, self.campaign_id)
        for workspace_id in (own, own, own, own, uuid4()):
            self.ids.append(insert(self.owner, "sms", campaign_id=self.campaign_id, workspace_id=workspace_id))

    def step(self, data: st.DataObject) -> None:
        """Something happens, by the ledger's own statements."""
        steps: list[Step] = [self.send, self.hear, self.hear, self.hear, self.decide, self.count]
        data.draw(st.sampled_from(steps))(data)

    def send(self, data: st.DataObject) -> None:
        started = self.do(begun(self.pool))
        if started.ids:
            self.tried += [(started, id_) for id_ in started.ids]
            if data.draw(st.booleans()):
                self.hear(data)
            self.do(end(self.pool, started, *(data.draw(ENDS) for _ in started.ids)))

    def hear(self, data: st.DataObject) -> None:
        if self.tried:
            heard = data.draw(st.lists(st.tuples(st.sampled_from(self.tried), st.sampled_from(KINDS)), max_size=6))
            reports = [report(started, id_, kind) for (started, id_), kind in heard]
            self.owner.execute("UPDATE fleet.events SET next_try_at = now() WHERE applied_at IS NULL")
            self.do(tell(self.pool, *reports, *reports[:2]))

    def decide(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(self.ids), max_size=2))
        self.do(data.draw(st.sampled_from(DECISIONS))(self.pool, ids, actor="test"))

    def count(self, data: st.DataObject) -> None:
        del data
        self.do(count(self.pool, self.owner))

    def figures(self) -> tuple[int, ...]:
        names = ", ".join(COLUMNS.values())
        found = self.owner.execute(f"SELECT {names} FROM campaign_metrics".encode()).fetchall()
        assert len(found) <= 1
        return found[0] if found else (0,) * len(COLUMNS)

    def by_hand(self) -> tuple[int, ...]:
        """The same from the rows, by sets of messages."""
        read = self.owner.execute
        own = {"id": self.campaign_id, "own": workspace_of(self.owner, self.campaign_id)}
        messages = read(
            "SELECT id, status, error_class FROM channel_outbox WHERE campaign_id = %(id)s AND workspace_id = %(own)s",
            own,
        ).fetchall()
        accepted = {
            row[0]
            for row in read(
                "SELECT message_id FROM fleet.attempts"
                " WHERE outcome = 'accepted' OR resolution IN ('accepted', 'arrived')"
            )
        }
        heard: dict[str, set[UUID]] = {kind: set() for kind in KINDS}
        for kind, id_ in read("SELECT kind, message_id FROM fleet.events WHERE applied_at IS NOT NULL"):
            heard[kind].add(id_)
        ids = {row[0] for row in messages}
        undelivered = {row[0] for row in messages if row[1:] == ("failed", "undelivered")}
        return tuple(
            len(ids & some)
            for some in (
                accepted | {row[0] for row in messages if row[1] in {"sent", "delivered"}},
                {row[0] for row in messages if row[1] == "delivered"},
                heard[Kind.OPENED],
                heard[Kind.CLICKED],
                heard[Kind.BOUNCED] | (heard[Kind.SOFT_BOUNCED] & undelivered),
                heard[Kind.STOPPED] | heard[Kind.UNSUBSCRIBED],
            )
        )


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    with asyncio.Runner() as runner, psycopg.connect(module_database_url, autocommit=True) as owner:
        opened = pool(load({}), module_database_url, size=2, process="test")
        runner.run(opened.open())
        yield World(owner, opened, runner.run, campaign(owner))
        runner.run(opened.close())


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_kept_up_to_date_from_scratch_and_by_hand_are_equal(world: World, data: st.DataObject) -> None:
    world.begin()
    for _ in range(data.draw(st.integers(2, STEPS))):
        world.step(data)
    if any(world.by_hand()):
        world.count(data)
    kept = world.figures()
    assert kept == world.by_hand()

    world.owner.execute("DELETE FROM campaign_metrics")
    world.do(metrics.recompute(world.pool, [world.campaign_id]))
    assert world.figures() == kept
    world.do(metrics.recompute(world.pool, [world.campaign_id]))
    assert world.figures() == kept
