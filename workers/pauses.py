"""What is paused, as a sending process knows it: asked right before each request, without asking the database.

A start asks the database itself. But a message may have started just before somebody paused it, and leave later: its
request may wait for its turn. So while there is something under way, what stands is read several times a second, and
what it names is withheld: given back as if it had not started. Refuses to hold a replay, which is the same send as its
start, save where everything is stopped.
"""

import asyncio
from collections.abc import Callable, Iterable

from config import log
from config.database import AWAY, Pool
from outbox import pauses
from outbox.scopes import EVERYTHING

LOOK_SECONDS = 0.25

_log = log.get(__name__)


class Pauses:
    """What stands, for one process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._standing: frozenset[str] = frozenset()

    def holding(self, scopes: Callable[[], Iterable[str]], *, tainted: bool) -> str | None:
        """Return the key of a pause that holds one of `scopes`, which are worked out only while anything stands.

        `tainted`: the request may have been taken before.
        """
        if not self._standing:
            return None
        if tainted:
            return EVERYTHING if EVERYTHING in self._standing else None
        return min(self._standing & frozenset(scopes()), default=None)

    async def look(self, *, is_busy: bool) -> None:
        """Read what stands. An idle process forgets it: the next start asks the database."""
        try:
            self._standing = await pauses.standing(self._pool) if is_busy else frozenset()
        except AWAY as error:  # what stood stands on
            _log.warning("pauses_unread", error=type(error).__name__)

    async def run(self, is_busy: Callable[[], bool]) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.look(is_busy=is_busy())
            await asyncio.sleep(LOOK_SECONDS)
