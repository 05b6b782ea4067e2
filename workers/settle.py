"""The settle flusher: one statement for the outcomes of many requests, every few milliseconds.

Owns the outcomes between the vendor's answer and the ledger. While the database is away they are held and written
again; a request that hangs holds up nobody but itself. An acceptance that came too late to settle is kept as an event,
and so is a refusal that says that the recipient wants nothing any more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from config import log
from config.database import AWAY, Pool
from config.failpoints import passing
from config.vocabulary import Kind
from outbox import events
from outbox.settlements import Ended, Settlement, settle
from outbox.states import Status
from providers.base import attempt_id

FLUSH_SECONDS = 0.03
"""Long enough to share a commit among many answers, short enough that nobody waits for it."""
FLUSH_LIMIT = 500
RETRY_SECONDS = 0.5

_Result = TypeVar("_Result")
_log = log.get(__name__)


class Flusher:
    """Settles what is added, in order, on one event loop."""

    def __init__(self, pool: Pool, worker: str) -> None:
        self.written: Callable[[UUID], object] = lambda _send_key: None
        """Told the send key of each batch whose end is in the ledger."""
        self._pool = pool
        self._worker = worker
        self._waiting: deque[tuple[Sequence[Settlement], Ended | None]] = deque()
        self._more = asyncio.Event()
        self._written = asyncio.Condition()
        self._writing = False

    def add(self, settlements: Sequence[Settlement], ended: Ended | None) -> None:
        """Take the outcomes of one request; `ended` comes with the last one of its batch."""
        self._waiting.append((settlements, ended))
        self._more.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._more.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            self._more.clear()
            while self._waiting:
                await self._flush()

    async def drained(self) -> None:
        """Wait until everything that was added is written."""
        async with self._written:
            await self._written.wait_for(lambda: not self._waiting and not self._writing)

    async def _flush(self) -> None:
        settlements, ended = self._take()
        self._writing = True
        try:
            await self._write(settlements, ended)
        finally:
            self._writing = False
            async with self._written:
                self._written.notify_all()

    def _take(self) -> tuple[list[Settlement], list[Ended]]:
        settlements: list[Settlement] = []
        ended: list[Ended] = []
        while self._waiting and len(settlements) < FLUSH_LIMIT:
            more, end = self._waiting.popleft()
            settlements += more
            if end is not None:
                ended.append(end)
        return settlements, ended

    async def _write(self, settlements: list[Settlement], ended: list[Ended]) -> None:
        passing("before_settle")
        settled = await _held(lambda: settle(self._pool, settlements, ended, worker=self._worker), len(settlements))
        passing("after_settle")
        late = [one for one in settlements if one.id not in settled]
        accepted = [one for one in late if one.status is Status.SENT]
        told = [_late_answer(one) for one in accepted]
        # Where the process dies before this is stored, the vendor refuses the recipient's next message as well.
        told += [_stop(one) for one in settlements if one.recipient_stopped]
        if told:
            await _held(lambda: events.store(self._pool, told), len(told))
        for one in accepted:
            _log.warning("settled_by_another", message_id=str(one.id), send_key=str(one.send_key))
        for end in ended:
            self.written(end.send_key)


async def _held(write: Callable[[], Awaitable[_Result]], settlements: int) -> _Result:
    """Write, again and again while the database is away."""
    while True:
        try:
            return await write()
        except AWAY as error:
            _log.warning("settle_held", settlements=settlements, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)


def _late_answer(late: Settlement) -> events.Report:
    """An acceptance that came after its lease was lost, or whose own commit was not acknowledged.

    The ledger knows which: proof of what it has settled already changes nothing.
    """
    attempt = attempt_id(late.send_key, late.id)
    return events.Report(
        provider=late.provider,
        tenant_id=late.account_tenant_id,
        event_id=f"answer:{attempt}",
        kind=Kind.ACCEPTED,
        provider_message_id=late.provider_message_id,
        message_id=late.id,
        attempt_id=attempt,
        body=late.response,
    )


def _stop(refused: Settlement) -> events.Report:
    """What the recipient told the vendor. It is no proof of this attempt, and true whoever has settled that."""
    attempt = attempt_id(refused.send_key, refused.id)
    return events.Report(
        provider=refused.provider,
        tenant_id=refused.account_tenant_id,
        event_id=f"refused:{attempt}",
        kind=Kind.STOPPED,
        message_id=refused.id,
        attempt_id=attempt,
        address=refused.address,
        our_address=refused.sender,
        code=refused.error_code,
        reason=refused.error_message,
    )
