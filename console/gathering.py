"""Asks that come at the same time are answered together: one round trip for all, and none waits for a clock.

Owns who leads: the first ask of an idle moment starts at once, and what comes while it is under way is the next round.
Refuses more than a bounded number of waiting asks, and to hold any of them for longer than whoever asked waits for an
answer. What is asked, and how it fails, is the caller's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")


class Overloaded(Exception):
    """Too much waits already; whoever asks again later finds room."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Ask, _Answer]):
    ask: _Ask
    until: float
    """By the loop's clock: then whoever asked is told so, wherever the ask is."""
    answer: "asyncio.Future[_Answer]"


class Gathering(Generic[_Ask, _Answer]):
    """Answers asks in rounds, one round at a time.

    `answer` gets the asks of a round and returns as many answers, in their order; an exception among them is raised to
    the one who asked. What it raises itself is raised to all of the round. An ask that is not answered `hold_seconds`
    after it came is over, in its round or before it; a round in which all are over is ended. `let_go` is told of each
    ask when nothing holds it any more.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[_Ask]], Awaitable[Sequence[_Answer | Exception]]],
        *,
        round_limit: int,
        waiting_limit: int,
        hold_seconds: float,
        let_go: Callable[[_Ask], None] = lambda _ask: None,
    ) -> None:
        self._answer = answer
        self._round_limit = round_limit
        self._waiting_limit = waiting_limit
        self._hold_seconds = hold_seconds
        self._let_go = let_go
        self._waiting: deque[_Waiting[_Ask, _Answer]] = deque()
        self._rounds: asyncio.Task[None] | None = None

    async def ask(self, ask: _Ask) -> _Answer:
        """Wait for the answer. Raises Overloaded, TimeoutError, and what `answer` has for it.

        After TimeoutError it may or may not be answered still: nobody hears of it.
        """
        self._drop_over()
        if len(self._waiting) >= self._waiting_limit:
            self._let_go(ask)
            raise Overloaded
        loop = asyncio.get_running_loop()
        one: _Waiting[_Ask, _Answer] = _Waiting(ask, loop.time() + self._hold_seconds, loop.create_future())
        self._waiting.append(one)
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._lead())
        async with asyncio.timeout_at(one.until):
            return await one.answer

    def _drop_over(self) -> None:
        """Drop those who gave up while they waited: the first who came are the first to."""
        while self._waiting and self._waiting[0].answer.done():
            self._let_go(self._waiting.popleft().ask)

    async def _lead(self) -> None:
        try:
            while round_ := self._next_round():
                await self._round(round_)
        finally:
            self._rounds = None
            # Not empty where a round was ended from outside: then nobody else would lead.
            self._end([self._waiting.popleft() for _ in range(len(self._waiting))])

    def _next_round(self) -> list[_Waiting[_Ask, _Answer]]:
        round_: list[_Waiting[_Ask, _Answer]] = []
        while self._waiting and len(round_) < self._round_limit:
            one = self._waiting.popleft()
            if one.answer.done():
                self._let_go(one.ask)
            else:
                round_.append(one)
        return round_

    async def _round(self, round_: Sequence[_Waiting[_Ask, _Answer]]) -> None:
        try:
            async with asyncio.timeout_at(max(one.until for one in round_)):
                answers = await self._answer([one.ask for one in round_])
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answers = [error] * len(round_)
        except BaseException:
            self._end(round_)
            raise
        for one, answer in zip(round_, answers, strict=True):
            self._let_go(one.ask)
            if one.answer.done():  # whoever asked is gone
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)

    def _end(self, asked: Sequence[_Waiting[_Ask, _Answer]]) -> None:
        """Send away whoever still waits."""
        for one in asked:
            self._let_go(one.ask)
            if not one.answer.done():
                one.answer.set_exception(Overloaded())
