"""The adoption of a live database: what was there before the fleet waits until a person says so."""

from config.database import Pool, run
from outbox.queries import load

_SQL = load("adoption")


async def held(pool: Pool, *, limit: int) -> tuple[str, int] | None:
    """Return why messages are held and how many it holds (counted up to `limit`); None without one."""
    rows = await run(pool, _SQL["held"], limit=limit)
    return (rows[0][0], rows[0][1]) if rows else None


async def release(pool: Pool, *, actor: str) -> bool:
    """End the hold: what it held goes out. False: there was none."""
    return bool(await run(pool, _SQL["release"], actor=actor))


async def cancel_some(pool: Pool, *, actor: str, limit: int) -> int:
    """Take back up to `limit` of the held messages; returns how many. scheduled → cancelled."""
    return len(await run(pool, _SQL["cancel_some"], actor=actor, limit=limit))
