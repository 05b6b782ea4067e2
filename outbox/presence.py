"""Who is at work: sending processes announce themselves, and a relay says when it needs no waking.

Refuses to decide by it who owns what: a lease does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from config.database import Pool, run
from outbox.queries import load

_SQL = load("presence")

ANNOUNCE_SECONDS = 5.0
"""How often a worker announces itself."""
PRESENT_SECONDS = 20.0
"""One that has not announced itself for this long is not counted."""


@dataclass(frozen=True, slots=True)
class Presence:
    """One sending process."""

    id: UUID
    host: str
    pid: int
    queues: Sequence[str]
    slots: int
    version: str


@dataclass(frozen=True, slots=True)
class Present:
    """One sending process, as others see it."""

    id: UUID
    host: str
    pid: int
    queues: Sequence[str]
    in_flight: int
    version: str
    started_at: datetime
    seen_at: datetime
    retiring: bool
    """A person wants it to drain and end."""


async def announce(pool: Pool, presence: Presence, in_flight: int) -> bool:
    """Say that the process lives, and how many of its requests are under way; return whether it is to retire."""
    rows = await run(
        pool,
        _SQL["announce"],
        id=presence.id,
        host=presence.host,
        pid=presence.pid,
        queues=list(presence.queues),
        slots=presence.slots,
        in_flight=in_flight,
        version=presence.version,
    )
    return bool(rows[0][0])


async def present(pool: Pool) -> list[Present]:
    """Return the processes that have announced themselves lately, by host."""
    return [Present(*row) for row in await run(pool, _SQL["present"], seconds=PRESENT_SECONDS)]


async def retire(pool: Pool, id_: UUID, *, actor: str) -> bool:
    """Have a process drain and end: it reads this when it announces itself. False: no such process is at work."""
    return bool(await run(pool, _SQL["retire"], id=id_, actor=actor, seconds=PRESENT_SECONDS))


async def leave(pool: Pool, id_: UUID) -> None:
    """Say that the process ends."""
    await run(pool, _SQL["leave"], id=id_)


async def serving(pool: Pool) -> dict[str, int]:
    """Count the live processes of each queue; a queue that nobody serves is not in it."""
    return dict(await run(pool, _SQL["serving"], seconds=PRESENT_SECONDS))


async def prune(pool: Pool) -> None:
    """Forget processes that ended an hour ago without saying so."""
    await run(pool, _SQL["prune"])


async def relay_awake(pool: Pool, id_: UUID, seconds: float) -> None:
    """Say that a relay polls by itself for the next seconds: inserts need not notify."""
    await run(pool, _SQL["relay_awake"], id=id_, seconds=seconds)


async def relay_asleep(pool: Pool, id_: UUID) -> None:
    """Say that a relay sleeps from now on; the next insert notifies, unless another relay is awake."""
    await run(pool, _SQL["relay_asleep"], id=id_)
