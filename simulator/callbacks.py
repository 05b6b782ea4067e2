"""Callbacks to whoever sent a message: ordered, late, doubled or lost as asked, and counted.

Refuses any address that is not loopback, and any vendor's words: what is said, and how it is signed, comes from the
vendor's module. Nothing is tried again: what is lost stays lost, as with vendors that try once.
"""

import asyncio
import ipaddress
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urldefrag, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

_TIMEOUT_SECONDS = 15.0
_RATES = ("doubled", "lost", "undelivered")


@dataclass(frozen=True, slots=True)
class Order:
    """How callbacks go out: none at all unless `on`."""

    on: bool = False
    delay_seconds: float = 0.0
    """From acceptance to the first one; the last one follows when look-ups show the end."""
    doubled: float = 0.0
    """The share that is sent twice."""
    lost: float = 0.0
    """The share that is not sent."""
    undelivered: float = 0.0
    """The share of messages and calls that end badly."""

    @classmethod
    def parse(cls, order: Any) -> "Order":
        """Read the JSON of `POST /callbacks`. Raises ValueError with one sentence for the caller."""
        known = {one.name for one in fields(cls)}
        if not isinstance(order, dict) or not order.keys() <= known:
            raise ValueError(f"an order is an object with {', '.join(sorted(known))}")
        numbers = {name: value for name, value in order.items() if name != "on"}
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers.values()):
            raise ValueError(f"{', '.join(sorted(known - {'on'}))} are numbers")
        if not all(0 <= numbers.get(name, 0) <= 1 for name in _RATES) or numbers.get("delay_seconds", 0) < 0:
            raise ValueError(f"{', '.join(_RATES)} are between 0 and 1, delay_seconds is at least 0")
        return cls(on=bool(order.get("on", True)), **numbers)


@dataclass(frozen=True, slots=True)
class Posting:
    """One request to a callback address."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Callbacks:
    """All callbacks of all vendors."""

    def __init__(self, order: Order, seed: int | None) -> None:
        self.order = order
        self.counts: Counter[str] = Counter()
        """`sent`, `doubled`, `lost`, `refused` (no loopback address), `failed` (no 2xx), since the last reset."""
        self._random = random.Random(seed)  # noqa: S311 - a seeded run must repeat itself
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: ClientSession | None = None

    def draws(self, share: float) -> bool:
        """Tell whether this one belongs to the share."""
        return self._random.random() < share

    def post(self, posting: Posting, after_seconds: float) -> None:
        """Send one later, where callbacks are on."""
        if not self.order.on:
            return
        if not is_loopback(posting.url):
            self.counts["refused"] += 1
            return
        if self.draws(self.order.lost):
            self.counts["lost"] += 1
            return
        doubled = self.draws(self.order.doubled)
        if doubled:
            self.counts["doubled"] += 1
        for _ in range(2 if doubled else 1):
            task = asyncio.create_task(self._send(posting, after_seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _send(self, posting: Posting, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(_TIMEOUT_SECONDS))
        # A fragment is the vendor's to read; it never travels.
        url = URL(urldefrag(posting.url).url, encoded=True)
        try:
            async with self._session.post(
                url, data=posting.body, headers=posting.headers, allow_redirects=False
            ) as answer:
                self.counts["sent" if 200 <= answer.status < 300 else "failed"] += 1
        except (ClientError, TimeoutError):
            self.counts["failed"] += 1


def is_loopback(url: str) -> bool:
    """Tell whether an address leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
