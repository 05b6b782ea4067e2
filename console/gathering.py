"""Asks that come at the same time are answered together: one round trip for all, and none waits for a clock.

Owns who leads: the first ask of an idle moment starts at once, and what comes while it is under way is the next round.
Refuses more than a bounded number of waiting asks. What is asked, and how it fails, is the caller's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")


class Overloaded(Exception):
    """Too much waits already; whoever asks again later finds room."""


class Gathering(Generic[_Ask, _Answer]):
    """Answers asks in rounds, one round at a time.

    `answer` gets the asks of a round and returns as many answers, in their order; an exception among them is raised to
    the one who asked. What it raises itself is raised to all of the round.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[_Ask]], Awaitable[Sequence[_Answer | Exception]]],
        *,
        round_limit: int,
        waiting_limit: int,
    ) -> None:
        self._answer = answer
        self._round_limit = round_limit
        self._waiting_limit = waiting_limit
        self._waiting: deque[tuple[_Ask, asyncio.Future[_Answer]]] = deque()
        self._rounds: asyncio.Task[None] | None = None

    async def ask(self, ask: _Ask) -> _Answer:
        """Wait for the answer. Raises Overloaded, and what `answer` has for it."""
        if len(self._waiting) >= self._waiting_limit:
            raise Overloaded
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._lead())
        return await future

    async def _lead(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._round_limit)
                await self._round([self._waiting.popleft() for _ in range(size)])
        finally:
            self._rounds = None

    async def _round(self, asked: Sequence[tuple[_Ask, asyncio.Future[_Answer]]]) -> None:
        try:
            answers = await self._answer([ask for ask, _ in asked])
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answers = [error] * len(asked)
        except BaseException:
            for _, future in asked:
                future.cancel()
            raise
        for (_, future), answer in zip(asked, answers, strict=True):
            if future.done():  # whoever asked is gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
