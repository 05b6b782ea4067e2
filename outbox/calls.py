"""Calls: `voice_call_records`, one row a call, as its vendor's reports tell of it.

Owns which end of a call says most, and that a record is never in the way of proof: the table is the platform's, and
what it refuses is logged while the event is applied all the same. Refuses to decide what a call means for its message.
"""

from collections.abc import Sequence

from psycopg import Error

from config import log
from config.database import Connection, is_refusal
from outbox.queries import load

_SQL = load("calls")
_log = log.get(__name__)

ENDS = ("completed", "failed", "no_answer")
"""`voice_call_records.status`: where reports of one call differ, the first of these that one of them says."""


async def record(connection: Connection, event_ids: Sequence[int]) -> None:
    """Record the calls that events are of, in the transaction that has applied them.

    Raises what the table refuses where it is about several events, which are then applied one by one; of one it is
    logged. Raises what `AWAY` names, a deadlock too.
    """
    parameters = {"ids": list(event_ids), "ends": list(ENDS)}
    if not await (await connection.execute(_SQL["lock"], parameters)).fetchall():
        return
    try:
        async with connection.transaction():
            await connection.execute(_SQL["record"], parameters)
    except Error as refused:
        if len(event_ids) > 1 or not is_refusal(refused):
            raise
        _log.error("call_not_recorded", event_id=event_ids[0], error=type(refused).__name__)
