"""How many requests may be under way in one process: no more than there are connections.

A request that waited for a connection would begin long after its lease was last checked.
"""

import asyncio
from collections import deque


class Budget:
    """Counts requests under way. First come, first served; lives on one event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count: int) -> None:
        """Wait until `count` more requests may be under way, and count them. Raises ValueError over `limit`."""
        if count > self.limit:
            raise ValueError(f"{count} requests can never be under way together, the limit is {self.limit}")
        if not self._waiting and self.in_flight + count <= self.limit:
            self.in_flight += count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(count)
            else:
                self._waiting.remove((count, turn))
            raise

    def give_back(self, count: int) -> None:
        """Count `count` requests as ended, and let those go on that now fit."""
        self.in_flight -= count
        while self._waiting and self.in_flight + self._waiting[0][0] <= self.limit:
            taken, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.in_flight += taken
                turn.set_result(None)
