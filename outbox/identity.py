"""Which database this is: a restored or copied one sends nothing until a person says that it is the one.

Recognised are copies and restores that make a new cluster, a new database or new tables, as a dump does also in the
place of its original: each bears a number that is another then. A physical restore of the same cluster (point in time,
a disk's snapshot), and rows alone that are put back into the tables as they stand, bear the same marks and cannot be
told from the original: whoever makes one says so with the same command, before the fleet starts.

Owns the words; refuses to stop anything itself: claims ask (claims.sql), and processes that send do not start.
"""

from config.database import Pool, run
from outbox.queries import load

_SQL = load("identity")

REASON = "due before this database was restored: it may have gone out since the backup, or from the original"


async def is_recognised(pool: Pool) -> bool:
    """Tell whether this is the database that the fleet was told to send from."""
    found: bool = (await run(pool, _SQL["is_recognised"]))[0][0]
    return found


async def restored(pool: Pool, *, actor: str, hold: bool) -> None:
    """Say that this database is the one. `hold`: what was due until now waits until a person adopts it."""
    await run(pool, _SQL["restored"], actor=actor, hold=hold, reason=REASON)
