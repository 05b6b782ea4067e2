"""Requests under way: from a started batch to its outcomes.

Owns the last check before a request begins, with nothing awaited between the check and the send. Refuses to retry:
what went wrong is an outcome, and the ledger decides.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from admission.accounts import Accounts
from admission.breaker import Breaker
from config import log
from config.catalog import CATALOG
from config.failpoints import passing
from outbox.scopes import keys_of
from outbox.settlements import Ended
from providers.base import Halted, Later, Outcome, Provider, Request, SendError, Unknown
from providers.client import Client
from workers.budget import Budget
from workers.outcomes import Flight, Sending, fold, settlement
from workers.pauses import Pauses
from workers.settle import Flusher

REPLAY_BASE_SECONDS = 2.0
REPLAY_CAP_SECONDS = 60.0

_log = log.get(__name__)


@dataclass(slots=True)
class LiveBatch:
    """A started batch: its requests, what its settlements need, and how many requests are still under way."""

    flight: Flight
    provider: Provider
    requests: Sequence[Request]
    members: Mapping[UUID, Sending]
    replays: int = 0
    remaining: int = field(init=False)

    def __post_init__(self) -> None:
        self.remaining = len(self.requests)


class Sender:
    """Sends the requests of started batches on the process's loop."""

    def __init__(
        self,
        client: Client,
        budget: Budget,
        flusher: Flusher,
        *,
        accounts: Accounts,
        breaker: Breaker,
        pauses: Pauses,
    ) -> None:
        self._client = client
        self._budget = budget
        self._flusher = flusher
        self._pauses = pauses
        self._accounts = accounts
        self._breaker = breaker
        self._tasks: set[asyncio.Task[None]] = set()
        self.live: dict[UUID, LiveBatch] = {}
        """By send key: the batches whose lease must be renewed, until their end is in the ledger."""
        flusher.written = lambda send_key: self.live.pop(send_key, None)

    def launch(self, batch: LiveBatch) -> None:
        """Begin every request of a batch; its share of the budget was taken before its start."""
        self.live[batch.flight.send_key] = batch
        for request in batch.requests:
            self._spawn(self._send(batch, request))

    async def drained(self) -> None:
        """Wait until no request is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, batch: LiveBatch, request: Request) -> None:
        began = monotonic()
        try:
            outcomes = await self._outcomes(batch, request)
        finally:
            self._budget.give_back(1)
        self._settle(batch, request, outcomes, monotonic() - began)
        self._breaker.note(batch.flight.account, outcomes[0], probe=batch.flight.probe)
        for halted in (outcome for outcome in outcomes if isinstance(outcome, Halted)):
            await self._accounts.halt(batch.flight.account, halted)
            break

    async def _outcomes(self, batch: LiveBatch, request: Request) -> Sequence[Outcome]:
        """Send, and say what became of each message. The one place where an unforeseen exception is caught."""
        passing("before_request")
        # The last check. From here to the client nothing is awaited, and in the client nothing waits for a connection.
        if withheld := self._withheld(batch, request):
            return [withheld] * len(request.message_ids)
        try:
            response = await self._client.send(request)
            passing("after_answer")
            return _one_each(request, batch.provider.outcomes(request, response))
        except SendError as error:
            return [error] * len(request.message_ids)
        except Exception:  # noqa: BLE001 - whatever went wrong, the vendor may have the message
            _log.exception("send_crashed", provider=batch.provider.name, send_key=str(batch.flight.send_key))
            return [Unknown("crashed", "our own code failed on the vendor's answer")] * len(request.message_ids)

    def _withheld(self, batch: LiveBatch, request: Request) -> Later | None:
        """Say why a request must not begin after all; it spends no attempt."""
        flight = batch.flight
        if not flight.lease.allows_request():
            reason = "its lease was nearly over when its turn came"
            return Later("withheld", reason, after_seconds=0, counted=False)
        pause = self._pauses.holding(lambda: _scopes(batch, request), tainted=flight.tainted)
        if pause is None:
            return None
        return Later("paused", f"a pause of {pause} came before its request", after_seconds=0, counted=False)

    def _settle(self, batch: LiveBatch, request: Request, outcomes: Sequence[Outcome], elapsed_seconds: float) -> None:
        folded = [fold(outcome, tainted=batch.flight.tainted) for outcome in outcomes]
        settlements = [
            settlement(batch.flight, batch.members[id_], outcome, elapsed_seconds)
            for id_, outcome in zip(request.message_ids, folded, strict=True)
            if id_ in batch.members
        ]
        batch.remaining -= 1
        ended = None
        if batch.remaining == 0:
            ended = _ended(batch, folded)
        self._flusher.add(settlements, ended)


def _scopes(batch: LiveBatch, request: Request) -> set[str]:
    """Return the scopes of all messages of a request: they go together or not at all."""
    channel, provider = batch.flight.channel, batch.flight.account.provider
    whose = {
        (member.workspace_id, member.campaign_id) for id_ in request.message_ids if (member := batch.members.get(id_))
    }
    return set().union(*(keys_of(channel, provider, *one) for one in whose))


def _one_each(request: Request, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    if len(outcomes) != len(request.message_ids):
        raise ValueError(f"{len(outcomes)} outcomes for {len(request.message_ids)} messages")
    return outcomes


def _ended(batch: LiveBatch, outcomes: Sequence[Outcome]) -> Ended:
    """A batch of an idempotent vendor waits for its replay while any of its messages is unknown."""
    flight = batch.flight
    if CATALOG[flight.account.provider].idempotent and any(isinstance(outcome, Unknown) for outcome in outcomes):
        return Ended(flight.send_key, flight.lease.token, replay_delay_seconds(batch.replays))
    return Ended(flight.send_key, flight.lease.token)


def replay_delay_seconds(replays: int) -> float:
    """Return the wait before the next replay after `replays` of them: doubling, capped."""
    return float(min(REPLAY_CAP_SECONDS, REPLAY_BASE_SECONDS * 2 ** min(replays, 20)))
