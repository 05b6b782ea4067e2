"""The demo live: one bar a channel, from the ledger itself."""

import asyncio
from time import monotonic

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from outbox.states import Status

LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 180.0
"""Without a change for this long, something is wrong, and the account says what."""

_COUNT = """
SELECT o.channel::text, count(*) FILTER (WHERE o.status IN ('sent', 'delivered')),
    count(*) FILTER (WHERE o.status = 'failed'), count(*) FILTER (WHERE o.status = 'unknown'),
    count(*) FILTER (WHERE o.attempts > 1), count(*)
FROM channel_outbox o
GROUP BY o.channel
ORDER BY o.channel
"""
_OPEN = f"""
SELECT count(*) FROM channel_outbox o
WHERE o.status IN ('{Status.SCHEDULED}', '{Status.QUEUED}', '{Status.SENDING}')
   OR (o.status = '{Status.UNKNOWN}' AND EXISTS (SELECT FROM fleet.batches b WHERE b.send_key = o.send_key))
"""


async def until_done(database: "psycopg.AsyncConnection[tuple[object, ...]]", console: Console) -> None:
    """Show the channels until nothing is under way, or nothing has moved for too long."""
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bars: dict[str, TaskID] = {}
        last, moved_at = None, monotonic()
        while True:
            seen = await _look(database, progress, bars)
            if seen != last:
                last, moved_at = seen, monotonic()
            still_open = await (await database.execute(_OPEN.encode())).fetchone()
            if not still_open or still_open[0] == 0 or monotonic() - moved_at > PATIENCE_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _look(
    database: "psycopg.AsyncConnection[tuple[object, ...]]", progress: Progress, bars: dict[str, TaskID]
) -> list[tuple[object, ...]]:
    rows = await (await database.execute(_COUNT.encode())).fetchall()
    for channel, sent, failed, unknown, retried, total in rows:
        name, done = str(channel), int(str(sent)) + int(str(failed))
        if name not in bars:
            bars[name] = progress.add_task(name, total=int(str(total)), told="")
        told = f"sent {sent}  failed {failed}  retried {retried}" + (f"  unknown {unknown}" if unknown else "")
        progress.update(bars[name], completed=done, told=told)
    return rows
