"""Rounds: the first ask starts at once, the others share the next one, and nobody's trouble is another's."""

import asyncio
from collections.abc import Sequence

import pytest

from console.gathering import Gathering, Overloaded


class Rounds:
    """Answers each number with its double, one round after another, when it is let."""

    def __init__(self, *, round_limit: int = 100, waiting_limit: int = 100, hold_seconds: float = 60) -> None:
        self.rounds: list[list[int]] = []
        self.gone: list[int] = []
        self.let = asyncio.Event()
        self.gathering: Gathering[int, int] = Gathering(
            self._answer,
            round_limit=round_limit,
            waiting_limit=waiting_limit,
            hold_seconds=hold_seconds,
            let_go=self.gone.append,
        )

    async def _answer(self, asks: Sequence[int]) -> Sequence[int | Exception]:
        self.rounds.append(list(asks))
        await self.let.wait()
        if 0 in asks:
            raise ZeroDivisionError
        return [2 * ask if ask > 0 else ValueError(ask) for ask in asks]

    def ask(self, number: int) -> "asyncio.Task[int]":
        return asyncio.create_task(self.gathering.ask(number))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_comes_during_a_round_shares_the_next() -> None:
    rounds = Rounds(round_limit=3)
    first = rounds.ask(1)
    await settle()
    others = [rounds.ask(number) for number in (2, 3, 4, 5)]
    await settle()
    assert rounds.rounds == [[1]]

    rounds.let.set()

    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10]
    assert rounds.rounds == [[1], [2, 3, 4], [5]]
    assert await rounds.ask(6) == 12, "an idle one starts again"


async def test_trouble_reaches_only_whose_it_is() -> None:
    rounds = Rounds()
    rounds.let.set()

    found = await asyncio.gather(rounds.ask(1), rounds.ask(-2), rounds.ask(3), return_exceptions=True)
    assert [type(one) for one in found] == [int, ValueError, int]
    broken = await asyncio.gather(rounds.ask(1), rounds.ask(0), return_exceptions=True)
    assert [type(one) for one in broken] == [ZeroDivisionError] * 2
    assert await rounds.ask(4) == 8


async def test_who_asked_and_left_holds_nobody_up() -> None:
    rounds = Rounds()
    gone, stays = rounds.ask(1), rounds.ask(2)
    await settle()
    gone.cancel()
    await settle()
    rounds.let.set()

    assert await stays == 4
    assert gone.cancelled()


async def test_more_than_may_wait_is_refused_at_once() -> None:
    rounds = Rounds(waiting_limit=2)
    first = rounds.ask(1)
    await settle()
    waiting = [rounds.ask(2), rounds.ask(3)]
    await settle()

    with pytest.raises(Overloaded):
        await rounds.ask(4)
    rounds.let.set()
    assert await asyncio.gather(first, *waiting) == [2, 4, 6]


async def test_nobody_is_held_longer_for_the_rounds_before_theirs() -> None:
    rounds = Rounds(round_limit=1, hold_seconds=0.4)
    began = asyncio.get_running_loop().time()

    found = await asyncio.gather(*(rounds.ask(number) for number in range(1, 8)), return_exceptions=True)

    assert [type(one) for one in found] == [TimeoutError] * 7
    assert asyncio.get_running_loop().time() - began < 1.2, "seven rounds, one patience"
    rounds.let.set()
    assert await rounds.ask(9) == 18
    assert sorted(rounds.gone) == [*range(1, 8), 9]


async def test_who_gave_up_takes_no_place_and_no_round() -> None:
    rounds = Rounds(waiting_limit=2)
    first = rounds.ask(1)
    await settle()
    gone = [rounds.ask(2), rounds.ask(3)]
    await settle()
    for one in gone:
        one.cancel()
    await settle()

    late = rounds.ask(4)
    await settle()
    rounds.let.set()
    assert (await first, await late) == (2, 8)
    assert rounds.rounds == [[1], [4]]


async def test_when_a_round_is_ended_from_outside_nobody_is_left_waiting() -> None:
    rounds = Rounds(round_limit=1)
    asked = [rounds.ask(number) for number in (1, 2, 3)]
    await settle()
    leading = rounds.gathering._rounds
    assert leading is not None
    leading.cancel()

    found = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(one) for one in found] == [Overloaded] * 3
    assert sorted(rounds.gone) == [1, 2, 3]
    rounds.let.set()
    assert await rounds.ask(4) == 8


async def test_what_is_asked_is_held_until_its_round_is_done() -> None:
    rounds = Rounds()
    gone = rounds.ask(1)
    await settle()
    gone.cancel()
    await settle()
    assert gone.cancelled()
    assert not rounds.gone

    rounds.let.set()
    await settle()
    assert rounds.gone == [1]


async def test_who_finds_no_room_holds_nothing() -> None:
    rounds = Rounds(waiting_limit=0)
    with pytest.raises(Overloaded):
        await rounds.ask(1)
    assert rounds.gone == [1]
