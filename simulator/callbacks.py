"""Callbacks to whoever sent a message: late, out of order, doubled, failing or lost as ordered, tried again, counted.

Owns when and how often. Refuses any address that is not loopback, and any vendor's words: what is said, how it is
signed and whether it is tried again comes from the vendor's `Telling`.
"""

import asyncio
import ipaddress
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urldefrag, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from config import tasks
from simulator.draws import Draws
from simulator.ends import End, end_of
from simulator.faults import VENDORS
from simulator.orders import Order

MOST_AT_ONCE = 64
"""Requests under way; what is due beyond them waits in line."""
NO_CONNECTION = 0
NO_ANSWER = 1
"""What stands in the place of an HTTP status where there was none."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One request to a callback address."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Telling(ABC):
    """One callback, kept so small that a hundred thousand may wait: its request is made as it goes out."""

    vendor: str
    kind: str
    """The vendor's word for what is said."""
    url: str
    about: bytes
    """What its fate is drawn by: the send, whichever run it is in."""
    send_id: str | None = None
    """None where it is about no send."""
    timeout_seconds: float = 15.0

    @abstractmethod
    def posting(self) -> Posting:
        """Return the request, signed now."""

    @abstractmethod
    def wait_seconds(self, tries: int, status: int, spent_seconds: float) -> float | None:
        """Return how long the vendor waits after so many tries, the last of which ended so; None: it gives up."""


@dataclass(slots=True)
class _Try:
    telling: Telling
    fails: bool
    number: int = 1
    began_seconds: float = 0.0
    generation: int = 0


class Callbacks:
    """All callbacks of all vendors."""

    def __init__(self, draws: Draws, order: Order) -> None:
        self.orders: Mapping[str, Order] = dict.fromkeys(VENDORS, order)
        self._draws = draws
        self._workers: set[asyncio.Task[None]] = set()
        self._session: ClientSession | None = None
        self._generation = 0
        self.forget()

    def forget(self) -> None:
        """Forget what was counted, and drop what still waits."""
        self._generation += 1
        self._due: deque[_Try] = deque()
        self.waiting = 0
        """Callbacks that are neither taken nor given up yet."""
        self.counts: Counter[str] = Counter()
        """`sent`, `doubled`, `lost`, `refused` (no loopback address), `failed` (tries without 2xx), `given_up`."""
        self.told: dict[str, list[str]] = defaultdict(list)
        """By id of a send: the kinds of callback about it that were answered 2xx."""

    def end_of(self, vendor: str, kind: str, about: bytes) -> End:
        """Draw how a send ends."""
        return end_of(kind, self.orders[vendor].shares, self._draws.of("end", about))

    def tell(self, telling: Telling, after_seconds: float, *, commanded: bool = False) -> None:
        """Send one so long after now, where callbacks are on or a command wants it."""
        order = self.orders[telling.vendor]
        if not (order.on or commanded):
            return
        if not is_loopback(telling.url):
            self.counts["refused"] += 1
            return
        about = telling.kind.encode() + telling.about
        if self._draws.hits(order.lost, "lost", about):
            self.counts["lost"] += 1
            return
        fails = self._draws.hits(order.failing_first, "failing", about)
        copies = 2 if self._draws.hits(order.doubled, "doubled", about) else 1
        if copies > 1:
            self.counts["doubled"] += 1
        for copy in range(copies):
            spread_seconds = order.spread_seconds * self._draws.of(f"moment {copy}", about)
            self.waiting += 1
            self._later(
                _Try(telling, fails, generation=self._generation), order.delay_seconds + after_seconds + spread_seconds
            )

    async def close(self) -> None:
        """End what is under way."""
        self.forget()
        await tasks.end(self._workers)
        if self._session is not None:
            await self._session.close()

    def _later(self, one: _Try, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._is_due, one)

    def _is_due(self, one: _Try) -> None:
        if one.generation != self._generation:
            return
        self._due.append(one)
        if len(self._workers) < MOST_AT_ONCE:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._due:
            one = self._due.popleft()
            began = asyncio.get_running_loop().time()
            one.began_seconds = one.began_seconds or began
            status = NO_CONNECTION if one.fails else await self._post(one.telling)
            if one.generation == self._generation:
                self._note(one, status)

    def _note(self, one: _Try, status: int) -> None:
        if 200 <= status < 300:
            self.counts["sent"] += 1
            self.waiting -= 1
            self._remember(one.telling)
            return
        self.counts["failed"] += 1
        spent_seconds = asyncio.get_running_loop().time() - one.began_seconds
        wait_seconds = one.telling.wait_seconds(one.number, status, spent_seconds)
        if wait_seconds is None:
            self.counts["given_up"] += 1
            self.waiting -= 1
            return
        one.number += 1
        one.fails = False
        self._later(one, wait_seconds * self.orders[one.telling.vendor].retry_factor)

    def _remember(self, telling: Telling) -> None:
        if telling.send_id is not None and telling.kind not in (told := self.told[telling.send_id]):
            told.append(telling.kind)

    async def _post(self, telling: Telling) -> int:
        if self._session is None:
            self._session = ClientSession()
        posting, timeout = telling.posting(), ClientTimeout(telling.timeout_seconds)
        # A fragment is the vendor's to read; it never travels.
        url = URL(urldefrag(posting.url).url, encoded=True)
        try:
            async with self._session.post(
                url, data=posting.body, headers=posting.headers, allow_redirects=False, timeout=timeout
            ) as answer:
                return answer.status
        except TimeoutError:
            return NO_ANSWER
        except ClientError:
            return NO_CONNECTION


def is_loopback(url: str) -> bool:
    """Tell whether an address leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
