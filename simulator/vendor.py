"""The way of every request, whichever vendor it is for: noted, let in, struck by faults, answered, counted.

Owns the order of these steps and what a fault does to a connection. Refuses to know any vendor's words: a vendor's
class names the account, reads the request, and shapes answers and errors.

    account → note → rate limit → arrival faults → [vendor: read, key, work, accept] → answer faults → answer
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from aiohttp import web

from simulator.faults import Fault, Moment
from simulator.ratelimit import Verdict
from simulator.simulation import Counts, Simulation

NO_HEADERS: dict[str, str] = {}


class Refusal(Exception):
    """A request that the vendor does not accept, with its own code and words."""

    def __init__(self, status: int, code: str | int, message: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or NO_HEADERS
        super().__init__(message)


class ConnectionCut(Exception):
    """The vendor closes the connection without an answer."""


@dataclass(slots=True)
class Exchange:
    """One request on its way to an answer."""

    request: web.Request
    body: bytes
    account: str
    recipients: Sequence[str] = ()
    """Known once the vendor has read the request; a recipient can carry a fault."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: its status and its JSON."""

    status: int
    body: bytes

    @classmethod
    def json(cls, status: int, value: Any) -> "Reply":
        """Make a reply of a JSON-like value."""
        return cls(status, orjson.dumps(value))

    @classmethod
    def text(cls, status: int, text: str) -> "Reply":
        """Make a reply of JSON that is written already."""
        return cls(status, text.encode())


Answer = Callable[[Exchange], Awaitable[Reply]]
HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Vendor(ABC):
    """One vendor, or one part of its API."""

    name: ClassVar[str]

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    @property
    def counts(self) -> Counts:
        """The vendor's counts since the last reset."""
        return self.simulation.counts[self.name]

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """List the paths that this part of the vendor plays."""

    @abstractmethod
    def account(self, request: web.Request) -> str:
        """Name the account that asks, without its secret. Raises Refusal where it may not."""

    @abstractmethod
    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Put a refusal into the vendor's JSON."""

    @abstractmethod
    def too_many(self, retry_after_seconds: float | None, verdict: Verdict | None) -> Refusal:
        """Return the vendor's 429; the seconds are None where nobody ordered any."""

    @abstractmethod
    def server_error(self) -> Refusal:
        """Return the vendor's 500."""

    def limit_headers(self, verdict: Verdict) -> dict[str, str]:
        """Return what the vendor tells of its rate limit with every answer; most tell nothing."""
        del verdict
        return NO_HEADERS

    def note(self, exchange: Exchange) -> None:
        """Take note of a request before any fault can strike it; most vendors keep nothing of it."""
        del exchange

    def creates(self, answer: Answer) -> HttpHandler:
        """Wrap what answers a request that sends something."""
        return self._meeting("create", answer)

    def reads(self, answer: Answer) -> HttpHandler:
        """Wrap what answers a request that only asks."""
        return self._meeting("read", answer)

    async def work(self, exchange: Exchange, recipients: Sequence[str]) -> None:
        """Spend the time that the vendor takes for a create; here the recipients' own faults strike as well."""
        exchange.recipients = recipients
        if self.simulation.options.latency_seconds:
            await asyncio.sleep(self.simulation.options.latency_seconds)
        await self._suffer(self.simulation.faults.draw(self.name, "create", Moment.WORK))
        await self._suffer(self.simulation.marks.draw(recipients, (Moment.ARRIVAL, Moment.WORK)))

    def _meeting(self, operation: str, answer: Answer) -> HttpHandler:
        async def meet(request: web.Request) -> web.StreamResponse:
            return await self._meet(request, operation, answer)

        return meet

    async def _meet(self, request: web.Request, operation: str, answer: Answer) -> web.StreamResponse:
        self.counts.requests += 1
        headers = NO_HEADERS
        body = await request.read()
        try:
            exchange = Exchange(request, body, self.account(request))
            self.note(exchange)
            headers = self._admit(exchange.account)
            reply = await self._answer(exchange, operation, answer)
            return _response(reply.status, reply.body, headers)
        except Refusal as refusal:
            self.counts.refused[str(refusal.code)] += 1
            return _response(refusal.status, orjson.dumps(self.error(refusal)), {**headers, **refusal.headers})
        except ConnectionCut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _answer(self, exchange: Exchange, operation: str, answer: Answer) -> Reply:
        await self._suffer(self.simulation.faults.draw(self.name, operation, Moment.ARRIVAL))
        reply = await answer(exchange)
        await self._suffer(self.simulation.faults.draw(self.name, operation, Moment.ANSWER))
        await self._suffer(self.simulation.marks.draw(exchange.recipients, (Moment.ANSWER,)))
        return reply

    def _admit(self, account: str) -> dict[str, str]:
        buckets = self.simulation.buckets.get(self.name)
        if buckets is None:
            return NO_HEADERS
        verdict = buckets.take(account)
        if not verdict.allowed:
            raise self.too_many(None, verdict)
        return self.limit_headers(verdict)

    async def _suffer(self, fault: Fault | None) -> None:
        if fault is None:
            return
        self.counts.faults[fault.kind] += 1
        match fault.kind:
            case "too_many":
                raise self.too_many(fault.seconds, None)
            case "server_error" | "server_error_after_accept":
                raise self.server_error()
            case "drop" | "accept_then_drop":
                raise ConnectionCut
            case "hang" | "accept_then_hang":
                await asyncio.sleep(fault.seconds or 0)
                raise ConnectionCut
            case "slow":
                await asyncio.sleep(fault.seconds or 0)


def unknown_keys(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """List the keys that the vendor does not know, in order."""
    return sorted(set(given).difference(known))


def _response(status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")
