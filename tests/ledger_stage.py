"""The ledger machine's stage: its database, its clock, and what the platform and people do there.

What relays, workers and the rescuer do is in `tests/integration/test_ledger_machine.py`. Each step is foretold from the
ledger before it; after each, everything is checked (`tests/ledger_model.py`).
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg.errors import InsufficientPrivilege

from config.database import Pool
from outbox import cancellation, decisions, search
from outbox.batches import KEY_SECONDS
from outbox.cancellation import Order, Progress
from outbox.scopes import Scope
from tests.factories import freeze, insert, pause, suppress
from tests.ledger_model import Ledger, Vendor, check, check_step

MESSAGES = 10
WORKSPACES, CAMPAIGN = (uuid4(), uuid4()), uuid4()
PROVIDERS = {"email": "resend", "sms": "twilio"}
ADDRESSES = {"email": ("delivered@resend.dev", "delivered+1@resend.dev"), "sms": ("+14155550100", "+14155550101")}
TABLES = (
    "channel_outbox, fleet.attempts, fleet.batches, fleet.unknowns, fleet.promises, fleet.pauses, fleet.suppressions"
)

_Result = TypeVar("_Result")
channels = st.sampled_from(list(PROVIDERS))


@dataclass(frozen=True)
class World:
    """The database, and a loop to reach it from steps that are not async."""

    owner: psycopg.Connection
    pool: Pool
    loop: asyncio.Runner


class Stage(RuleBasedStateMachine):
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.ids = count(1)
        self.addresses: dict[UUID, str] = {}
        self.vendor = Vendor()
        self.started: dict[UUID, frozenset[UUID]] = {}
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.world.owner.execute(f"TRUNCATE {TABLES}".encode())
        freeze(self.world.owner, self.now)
        self.before = Ledger.read(self.world.owner)

    def do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.world.loop.run(work)

    def new_id(self) -> UUID:
        """Hypothesis repeats a run that failed: it must come to the same ids."""
        return UUID(int=next(self.ids))

    def in_seconds(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    # The platform

    @initialize()
    def begin(self) -> None:
        for number, channel in enumerate(("email", "email", "email", "sms", "sms")):
            self.insert(channel, WORKSPACES[number % 2], expires=False, in_campaign=number % 3 == 0)

    @precondition(lambda self: len(self.before.messages) < MESSAGES)
    @rule(channel=channels, workspace=st.sampled_from(WORKSPACES), expires=st.booleans(), in_campaign=st.booleans())
    def insert(self, channel: str, workspace: UUID, expires: bool, in_campaign: bool) -> None:
        id_ = self.new_id()
        address = self.addresses[id_] = ADDRESSES[channel][id_.int % 2]
        insert(
            self.world.owner,
            channel,
            id=id_,
            **{"recipient_email" if channel == "email" else "recipient_phone": address},
            workspace_id=workspace,
            created_at=self.now,
            scheduled_at=self.now,
            expires_at=self.in_seconds(100) if expires else None,
            campaign_id=CAMPAIGN if in_campaign else None,
        )

    @rule(workspace=st.sampled_from([None, *WORKSPACES]), channel=channels)
    def suppress_or_forgive(self, workspace: UUID | None, channel: str) -> None:
        self.world.owner.execute("DELETE FROM fleet.suppressions")
        if workspace:
            for address in ADDRESSES[channel]:
                suppress(self.world.owner, workspace, address, channel=channel)

    @rule(scope=st.sampled_from([None, None, f"campaign:{CAMPAIGN}", "channel:sms"]))
    def pause_or_resume(self, scope: str | None) -> None:
        self.world.owner.execute("DELETE FROM fleet.pauses")
        if scope:
            pause(self.world.owner, scope)

    @precondition(lambda self: self.before.messages.keys() - self.before.having("scheduled"))
    @rule(data=st.data())
    def reset_from_outside(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.before.messages.keys() - self.before.having("scheduled"))))
        with pytest.raises(InsufficientPrivilege):
            self.world.owner.execute("UPDATE channel_outbox SET status = 'scheduled' WHERE id = %s", (id_,))

    @rule(seconds=st.sampled_from([1.0, 10.0, 50.0, 61.0, 63.0, 400.0, KEY_SECONDS["resend"]]))
    def time_passes(self, seconds: float) -> None:
        self.now = self.in_seconds(seconds)
        freeze(self.world.owner, self.now)

    # People

    @precondition(lambda self: self.before.having("failed"))
    @rule()
    def retry(self) -> None:
        failed = self.before.having("failed")
        assert self.do(search.retry(self.world.pool, sorted(self.before.messages), actor="test")) == failed

    @precondition(lambda self: self.before.having("unknown"))
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        """A person who asked the vendor about an unknown message. What is being replayed is not sent again."""
        id_ = data.draw(st.sampled_from(sorted(self.before.having("unknown"))))
        if self.vendor.accepted[id_]:
            assert self.do(decisions.arrived(self.world.pool, [id_], actor="test")) == {id_}
        else:
            batch = self.before.batches.get(self.before.messages[id_]["send_key"])
            expected = set() if batch and batch["lease_token"] else {id_}
            assert self.do(decisions.send_again(self.world.pool, [id_], actor="test")) == expected

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = (
            data.draw(st.lists(st.sampled_from(sorted(self.before.messages)), max_size=2))
            if self.before.messages
            else []
        )
        waiting = self.before.having("scheduled", "queued")
        assert self.do(search.cancel(self.world.pool, ids, actor="test")) == waiting & set(ids)

    @rule()
    def cancel_the_campaign(self) -> None:
        async def until_the_lease_is_over(progress: Progress) -> None:
            if progress.sending:
                self.time_passes(61.0)

        order = Order(Scope(campaign_id=CAMPAIGN), "test", "test")
        ended = self.do(cancellation.cancel(self.world.pool, order, until_the_lease_is_over))
        ours = {id_ for id_, row in self.before.messages.items() if row["campaign_id"] == CAMPAIGN}
        assert ended.cancelled == len(self.before.having("scheduled", "queued") & ours)
        assert ended.unknown == len(self.before.having("sending", "unknown") & ours)

    @invariant()
    def holds(self) -> None:
        after = Ledger.read(self.world.owner)
        check_step(self.before, after)
        check(after, self.vendor, self.started)
        self.before = after
