"""What a person decides of messages that stay unknown: it arrived, or send it again. Audited with who.

Refuses to judge: whoever decides has looked at the vendor's own console, or would rather have a message twice than
never.
"""

from collections.abc import Sequence
from uuid import UUID

from config.database import Pool, run
from outbox.queries import load
from outbox.unknowns import ASKABLE

_SQL = load("decisions")


async def arrived(pool: Pool, ids: Sequence[UUID], *, actor: str) -> set[UUID]:
    """Believe a person that these were accepted; return which were unknown. unknown → sent."""
    return {row[0] for row in await run(pool, _SQL["arrived"], ids=list(ids), actor=actor)}


async def send_again(pool: Pool, ids: Sequence[UUID], *, actor: str) -> set[UUID]:
    """Send these again because a person says so, under a new key; return which were. unknown → scheduled.

    Their batches are closed for replay with it. One whose replay is under way is left as it is: its answer is near.
    """
    rows = await run(pool, _SQL["send_again"], ids=list(ids), actor=actor, askable=ASKABLE)
    return {row[0] for row in rows}
