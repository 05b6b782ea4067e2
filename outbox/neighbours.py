"""Events that are stored together, none at the mercy of its neighbours.

Owns what happens where the database refuses a row: the others are stored all the same, and it is stored without the
vendor's words. Refuses to wait for a database that is away.
"""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import Error

from config import log
from config.database import AWAY, Pool
from outbox import events
from outbox.events import Report

_log = log.get(__name__)


class Said(NamedTuple):
    """What was said at a time, at least one event: all of it is stored, or none."""

    reports: Sequence[Report]
    rows: bytes
    """The same, as `events.encoded` returns it."""


def said(reports: Sequence[Report]) -> Said:
    """Make at least one event ready for `store`: what is dear is done here."""
    return Said(reports, events.encoded(reports))


async def store(pool: Pool, together: Sequence[Said]) -> list[Error | None]:
    """Store all in one statement; where the database refuses it, halve it until what it refuses stands alone.

    Returns for each why it is not stored, not even without the vendor's words; None where it is. Raises what `AWAY`
    names where the database is away: then each may or may not be stored.
    """
    try:
        await events.store_encoded(pool, [one.rows for one in together])
    except AWAY:
        raise
    except Error as refused:
        if len(together) == 1:
            return [await _without_words(pool, together[0].reports, refused)]
        middle = len(together) // 2
        return [*await store(pool, together[:middle]), *await store(pool, together[middle:])]
    return [None] * len(together)


async def _without_words(pool: Pool, reports: Sequence[Report], refused: Error) -> Error | None:
    """Store what we decided ourselves, without what the vendor wrote."""
    _log.error("words_refused", provider=reports[0].provider, error=type(refused).__name__)
    try:
        await events.store(pool, [events.without_words(report) for report in reports])
    except AWAY:
        raise
    except Error as error:
        _log.error("event_not_stored", provider=reports[0].provider, error=type(error).__name__)
        return error
    return None
