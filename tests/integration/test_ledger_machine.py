"""Any order of steps of several workers, relays, a rescuer and people: nothing twice, nothing lost, no number missing.

Hypothesis drives the ledger's own statements on a real database under a clock that stands still between steps, and
beside it a vendor that knows what it accepted. Every step is foretold from the ledger before it, every state checked.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, precondition, rule, run_state_machine_as_test

from config.channels import Channel
from config.database import Pool, pool
from config.settings import load
from outbox import batches, claims, starts
from outbox.settlements import Ended, Settlement, settle
from outbox.starts import Batch, Candidate, Claimed
from outbox.states import Status
from tests.ledger_model import IDEMPOTENT, Flight, Ledger
from tests.ledger_stage import MESSAGES, PROVIDERS, Stage, World, channels

SHRINK = os.environ.get("SHRINK") == "1"
"""Make a failure small, which takes minutes."""
FULL = os.environ.get("FULL") == "1"
EXAMPLES, STEPS = (1_000, 80) if FULL else (45, 40)
LEASE_SECONDS, MARGIN_SECONDS = 60.0, 2.0
WORKER = UUID(int=1)
ACCOUNT, NOBODY = "account", UUID(int=0)

wishes = st.sampled_from([Status.SENT, Status.FAILED, Status.SCHEDULED, Status.UNKNOWN])


@dataclass(frozen=True)
class Reading:
    """A bundle as a worker read it, perhaps long ago."""

    token: UUID
    channel: str
    rows: list[Claimed]


class LedgerMachine(Stage):
    taken = Bundle("taken")
    readings = Bundle("readings")
    flights = Bundle("flights")
    replays = Bundle("replays")

    # Relays

    @precondition(lambda self: self.before.having("scheduled"))
    @rule(target=taken, channel=channels, limit=st.integers(1, MESSAGES))
    def claim(self, channel: str, limit: int) -> tuple[UUID, str, list[str]]:
        token = self.new_id()
        found = self.do(
            claims.claim(self.world.pool, Channel(channel), limit=limit, token=token, lease_seconds=LEASE_SECONDS)
        )
        ids = [one.id for one in found]
        assert {UUID(id_) for id_ in ids} <= self.before.having("scheduled")
        return token, channel, ids

    @rule(claim=taken)
    def release(self, claim: tuple[UUID, str, list[str]]) -> None:
        token, _, ids = claim
        mine = [id_ for id_ in ids if self.before.messages[UUID(id_)]["lease_token"] == token]
        assert self.do(claims.release(self.world.pool, ids, token)) == len(mine)

    # Workers

    @rule(target=readings, claim=taken)
    def read(self, claim: tuple[UUID, str, list[str]]) -> Reading:
        token, channel, ids = claim
        return Reading(token, channel, self.do(starts.read(self.world.pool, Channel(channel), ids, token)))

    @precondition(lambda self: self.before.having("scheduled"))
    @rule(target=flights, channel=channels)
    def claim_and_start(self, channel: str) -> Any:
        reading = self.read(self.claim(channel, MESSAGES))
        self.before = Ledger.read(self.world.owner)
        return self.start(reading)

    @rule(target=flights, reading=readings)
    def start(self, reading: Reading) -> Any:
        send_key, lease, provider = self.new_id(), self.new_id(), PROVIDERS[reading.channel]
        allowed = {row.id for row in reading.rows if self.may_start(reading, row)}
        by_id = {row.id: row.address for row in reading.rows}

        def compose(ids: Any) -> list[Batch]:
            body = "Ym9keQ==" if reading.channel == IDEMPOTENT else None
            addresses = [by_id[id_] for id_ in ids]
            return [Batch(send_key, provider, ACCOUNT, NOBODY, ids, addresses, body)] if ids else []

        started = self.do(
            starts.start(
                self.world.pool,
                Channel(reading.channel),
                reading.token,
                [Candidate(row.id, row.address, row.seen, send_key, None, ACCOUNT, NOBODY) for row in reading.rows],
                compose,
                worker=WORKER,
                lease=lease,
                lease_seconds=LEASE_SECONDS,
                default_provider=provider,
            )
        )
        assert set(started) == allowed
        if not started:
            return multiple()
        self.started[send_key] = members = frozenset(started)
        return Flight(send_key, lease, reading.channel, members, members, self.in_seconds(LEASE_SECONDS))

    def may_start(self, reading: Reading, row: Claimed) -> bool:
        """Foretell a start from the rows before it, in Python."""
        now, before = self.now, self.before.messages[row.id]
        owner = self.world.owner
        paused = {scope for (scope,) in owner.execute("SELECT scope_key FROM fleet.pauses WHERE until IS NULL")}
        suppressed = owner.execute("SELECT workspace_id, channel FROM fleet.suppressions").fetchall()
        looked_up = owner.execute("SELECT channel, address FROM fleet.unknowns WHERE waits_for = 'look'").fetchall()
        return (
            before["status"] == "queued"
            and before["lease_token"] == reading.token
            and before["lease_expires_at"] > now
            and before["seen"] == row.seen
            and (before["expires_at"] is None or before["expires_at"] > now)
            and (before["workspace_id"], before["channel"]) not in suppressed
            and (before["channel"], row.address) not in looked_up
            and not paused & {f"channel:{before['channel']}", f"campaign:{before['campaign_id']}"}
        )

    @rule(flight=flights)
    def renew(self, flight: Flight) -> None:
        leases = {flight.send_key: flight.lease}
        ours = self.do(batches.renew(self.world.pool, leases, LEASE_SECONDS))
        batch = self.before.batches.get(flight.send_key)
        assert bool(ours) == (batch is not None and batch["lease_token"] == flight.lease)
        if ours:
            flight.until = self.in_seconds(LEASE_SECONDS)

    @rule(flight=flights, accepts=st.booleans())
    def send(self, flight: Flight, accepts: bool) -> None:
        """The fence: a request begins only while a quarter of the lease is left, and once."""
        if self.in_seconds(LEASE_SECONDS / 4) < flight.until and not flight.answers and not flight.decided:
            self.vendor.receive(flight, accepts)

    @rule(
        flight=flights,
        wish=wishes,
        half=st.booleans(),
    )
    def settle(self, flight: Flight, wish: Status, half: bool) -> None:
        """All members, or half of them, as where a value had to be bisected out and the process dies in between."""
        flight.wish = flight.wish or wish
        chosen = sorted(flight.members)[: len(flight.members) // 2] if half else sorted(flight.members)
        decisions = {id_: flight.decision(id_, flight.wish) for id_ in chosen}
        flight.decided |= flight.members if flight.channel == IDEMPOTENT else set(chosen)
        again = 5.0 if flight.channel == IDEMPOTENT and Status.UNKNOWN in decisions.values() else None
        ended = [] if half else [Ended(flight.send_key, flight.lease, again)]
        expected = self.before.settled_under(flight) & decisions.keys()

        settlements = [self.settlement(flight, id_, status) for id_, status in decisions.items()]
        assert self.do(settle(self.world.pool, settlements, ended, worker="test")) == expected

    @rule(flight=flights, accepts=st.booleans(), wish=wishes)
    def send_and_settle(self, flight: Flight, accepts: bool, wish: Status) -> None:
        self.send(flight, accepts)
        self.settle(flight, wish, half=False)

    def settlement(self, flight: Flight, id_: UUID, status: Status) -> Settlement:
        outcomes = {Status.SENT: "accepted", Status.FAILED: "rejected", Status.SCHEDULED: "later"}
        return Settlement(
            id=id_,
            send_key=flight.send_key,
            lease=flight.lease,
            status=status,
            outcome=outcomes.get(status, "unknown"),
            provider=PROVIDERS[flight.channel],
            account=ACCOUNT,
            account_tenant_id=NOBODY,
            address=self.addresses[id_],
            provider_message_id=f"{flight.send_key} {id_}" if status is Status.SENT else None,
        )

    # The rescuer, and the replays that it asks for

    @precondition(lambda self: self.before.having("queued"))
    @rule()
    def rescue(self) -> None:
        dead = {id_ for id_ in self.before.having("queued") if self.before.messages[id_]["lease_expires_at"] < self.now}
        assert self.do(claims.rescue(self.world.pool, limit=100)) == len(dead)

    @precondition(lambda self: self.before.batches)
    @rule()
    def expire(self) -> None:
        found = self.do(batches.expire(self.world.pool, margin_seconds=MARGIN_SECONDS, limit=100))
        dead = {
            key
            for key, batch in self.before.batches.items()
            if batch["lease_token"] and batch["lease_expires_at"] < self.in_seconds(-MARGIN_SECONDS)
        }
        assert {one.send_key for one in found} == dead
        assert {one.send_key: one.unknown for one in found} == {key: len(self.before.open_members(key)) for key in dead}

    @precondition(lambda self: self.before.batches)
    @rule(target=replays)
    def claim_replays(self) -> Any:
        token = self.new_id()
        found = self.do(batches.claim_replays(self.world.pool, token, lease_seconds=LEASE_SECONDS, limit=10))
        return multiple(*((UUID(key), token) for key, _ in found))

    @rule(target=flights, replay=replays)
    def begin_replay(self, replay: tuple[UUID, UUID]) -> Any:
        send_key, token = replay
        lease = self.new_id()
        batch = self.before.batches.get(send_key)
        mine = batch and batch["lease_token"] == token and batch["lease_expires_at"] > self.now
        found = self.do(
            batches.begin_replay(
                self.world.pool, send_key, token, worker=WORKER, lease=lease, lease_seconds=LEASE_SECONDS
            )
        )
        assert (found is not None) == bool(mine)
        if found is None:
            return multiple()
        members = frozenset(UUID(id_) for id_ in found.senders)
        assert members == self.before.open_members(send_key)
        carried, until = frozenset(found.member_ids), self.in_seconds(LEASE_SECONDS)
        return Flight(send_key, lease, IDEMPOTENT, members, carried, until, tainted=True)

    @precondition(lambda self: self.before.batches)
    @rule(target=flights)
    def die_and_be_replayed(self) -> Any:
        """What alone is a rare order of four steps."""
        self.time_passes(LEASE_SECONDS + 2 * MARGIN_SECONDS)
        self.expire()
        claimed = self.do(batches.claim_replays(self.world.pool, self.new_id(), lease_seconds=LEASE_SECONDS, limit=1))
        self.before = Ledger.read(self.world.owner)
        keys = [UUID(key) for key, _ in claimed]
        return self.begin_replay((keys[0], self.before.batches[keys[0]]["lease_token"])) if keys else multiple()

    @rule(flight=consumes(flights))
    def withdraw_replay(self, flight: Flight) -> None:
        """Its account cannot send: the worker gives it back, and the request that was counted was not made."""
        if flight.tainted and not flight.answers and not flight.decided:
            self.do(batches.withdraw_replay(self.world.pool, flight.send_key, flight.lease, delay_seconds=1.0))

    @precondition(lambda self: self.before.batches)
    @rule()
    def close_old(self) -> None:
        self.do(batches.close_old(self.world.pool))
        self.do(batches.mark_orphans(self.world.pool, lease_seconds=LEASE_SECONDS, limit=10))


def test_the_ledger_holds_under_any_order_of_steps(module_database_url: str) -> None:
    bounds = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        phases=[phase for phase in Phase if phase is not Phase.shrink or SHRINK],
        suppress_health_check=list(HealthCheck),
    )
    with psycopg.connect(module_database_url, autocommit=True) as owner, asyncio.Runner() as loop:

        async def opened() -> Pool:
            ledger = pool(load({}), module_database_url, size=2, process="test")
            await ledger.open()
            return ledger

        LedgerMachine.world = World(owner, loop.run(opened()), loop)
        try:
            run_state_machine_as_test(LedgerMachine, settings=bounds)
        finally:
            loop.run(LedgerMachine.world.pool.close())
