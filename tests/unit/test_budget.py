"""Requests under way never exceed the limit, and nobody waits for ever."""

import asyncio
import random

import pytest

from workers.budget import Budget


async def test_first_come_first_served_and_never_over_the_limit() -> None:
    budget, highest, order = Budget(10), 0, []

    async def work(number: int, count: int) -> None:
        nonlocal highest
        await budget.take(count)
        order.append(number)
        highest = max(highest, budget.in_flight)
        for _ in range(random.randint(1, 5)):
            await asyncio.sleep(0)
        for _ in range(count):
            budget.give_back(1)

    await asyncio.gather(*(work(number, random.randint(1, 10)) for number in range(200)))
    assert highest <= 10
    assert budget.in_flight == 0
    assert order == sorted(order)


async def test_more_than_the_limit_is_refused_and_not_waited_for() -> None:
    with pytest.raises(ValueError, match="the limit is 3"):
        await Budget(3).take(4)


async def test_who_gives_up_waiting_leaves_no_gap() -> None:
    budget = Budget(2)
    await budget.take(2)
    impatient = asyncio.create_task(budget.take(2))
    patient = asyncio.create_task(budget.take(1))
    await asyncio.sleep(0)
    impatient.cancel()
    budget.give_back(2)
    await patient
    assert budget.in_flight == 1


async def test_who_is_cancelled_as_its_turn_comes_gives_it_back() -> None:
    budget = Budget(1)
    await budget.take(1)
    waiting = asyncio.create_task(budget.take(1))
    await asyncio.sleep(0)
    budget.give_back(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert budget.in_flight == 0
