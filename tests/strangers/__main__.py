"""`python -m tests.strangers SEED COUNT`: the whole web application, asked as a server asks it.

Prints what was answered, by kind, and how many were stored; what is wrong goes to stderr, with its number. Uses
DATABASE_URL and REDIS_URL.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import psycopg

from console.web import app
from tests.strangers.requests import PUBLIC_URL, TOKENS, strange
from tests.strangers.strange import Strange

AT_ONCE = 24
ANSWER_SECONDS = 5.0
"""For any request, on a busy machine, with all the others at the same time."""


async def answer(one: Strange) -> int:
    """Ask the application; return the status. Raises what it raises."""
    messages = iter(one.messages())
    statuses: list[int] = []

    async def receive() -> Any:
        await asyncio.sleep(0)
        return next(messages)

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    await app(one.scope(), receive, send)
    assert len(statuses) == 1, statuses
    return statuses[0]


async def throw(seed: int, numbers: Iterator[int], answered: Counter[str], stored: set[tuple[str, str]]) -> int:
    """Throw requests until there are no more; return how many were answered wrongly."""
    wrong = 0
    for number in numbers:
        one = strange(seed, number)
        began = time.monotonic()
        status = await answer(one)
        taken_seconds = time.monotonic() - began
        answered[f"{one.what} {status}"] += 1
        if status not in one.right:
            wrong += 1
            print(f"WRONG seed {seed} number {number}: {one.what} answered {status}", file=sys.stderr)
        if taken_seconds > ANSWER_SECONDS:
            wrong += 1
            print(f"SLOW seed {seed} number {number}: {one.what} took {taken_seconds:.1f} s", file=sys.stderr)
        if one.stored and status == 204:
            stored.add((str(one.tenant), one.sid))
            repeated = await answer(one) if number % 5 == 0 else 204
            wrong += repeated != 204
    return wrong


async def main(seed: int, count: int) -> int:
    """Throw `count` requests, then compare what is stored with what must be; return how much was wrong."""
    answered: Counter[str] = Counter()
    stored: set[tuple[str, str]] = set()
    numbers = iter(range(count))
    async with app.router.lifespan_context(app):
        wrong = sum(await asyncio.gather(*(throw(seed, numbers, answered, stored) for _ in range(AT_ONCE))))
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT tenant_id::text, provider_message_id FROM fleet.events WHERE provider <> 'fleet'"
        ).fetchall()
    twice = len(found) - len(set(found))
    missing, surplus = stored - set(found), set(found) - stored
    print(orjson.dumps({"answered": dict(sorted(answered.items())), "stored": len(found)}).decode())
    if twice or missing or surplus:
        print(f"WRONG seed {seed}: {twice} twice, missing {missing}, surplus {surplus}", file=sys.stderr)
    return wrong + twice + len(missing) + len(surplus)


if __name__ == "__main__":
    assert os.environ["FLEET_PUBLIC_URL"] == PUBLIC_URL
    assert os.environ["TWILIO_AUTH_TOKEN"] in TOKENS.values()
    sys.exit(bool(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))))
