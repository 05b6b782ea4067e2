"""Bodies within bounds."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from console.refusals import Refused
from console.uploads import BODY_LIMIT_BYTES, Receive, Uploads


def arriving(parts: Iterable[bytes], *, more: bool = False) -> Receive:
    """A client that sends these parts, and then, where there is `more`, nothing any more."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left) or more}

    return receive


async def status(uploads: Uploads, receive: Receive, declared: str = "", whose: str = "a") -> int:
    with pytest.raises(Refused) as refused:
        await uploads.body(receive, whose, declared)
    return refused.value.status


async def test_a_body_in_pieces() -> None:
    assert await Uploads().body(arriving([b"a", b"", b"bc"]), "a") == b"abc"
    assert await Uploads().body(arriving([b""]), "a", "abc") == b""
    whole = await Uploads().body(arriving([b"x" * BODY_LIMIT_BYTES]), "a", str(BODY_LIMIT_BYTES))
    assert len(whole) == BODY_LIMIT_BYTES


async def test_what_is_too_long_by_its_own_word_is_not_read() -> None:
    for declared in (str(BODY_LIMIT_BYTES + 1), "9" * 5_000):
        assert await status(Uploads(), arriving([]), declared) == 413
    assert await status(Uploads(), arriving([b"x" * BODY_LIMIT_BYTES, b"x"])) == 413


async def test_what_does_not_come_is_not_waited_for() -> None:
    assert await status(Uploads(body_seconds=0.01), arriving([b"a"], more=True)) == 408


async def test_who_leaves_is_let_go() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert await status(Uploads(), receive) == 400


async def held(uploads: Uploads, whose: str, size: int) -> "asyncio.Task[bytes]":
    """Somebody who sends so much and then nothing any more."""
    task = asyncio.create_task(uploads.body(arriving([b"x" * size], more=True), whose))
    await asyncio.sleep(0)
    return task


async def let_go(*tasks: "asyncio.Task[bytes]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_all_bodies_together_are_bounded() -> None:
    uploads = Uploads(reading_limit_bytes=40, body_seconds=60)
    slow = [await held(uploads, whose, 9) for whose in ("a", "b", "c", "d")]

    assert await status(uploads, arriving([b"12345"]), whose="e") == 503
    await let_go(*slow)
    assert await uploads.body(arriving([b"1234567890"]), "e") == b"1234567890"


async def test_one_address_has_a_share_and_keeps_nobody_away_from_the_others() -> None:
    uploads = Uploads(reading_limit_bytes=40, body_seconds=60)
    slow = [await held(uploads, "a", 5) for _ in range(2)]

    assert await status(uploads, arriving([b"x"])) == 503
    assert await uploads.body(arriving([b"1234567890"]), "b") == b"1234567890"
    await let_go(*slow)
    assert await uploads.body(arriving([b"1234567890"]), "a") == b"1234567890"
    assert not uploads._reading_of, "nobody who has left is remembered"
