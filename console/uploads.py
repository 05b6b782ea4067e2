"""Bodies of requests, read within bounds: of one body, of all that are being read at once, of one address's share of
them, and of time.

Refuses to look into them. A body that is given up is not read to its end.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, MutableMapping
from typing import Any

from console.refusals import Refused

BODY_LIMIT_BYTES = 1_048_576
READING_LIMIT_BYTES = 67_108_864
SHARE = 0.25
"""Of it, for what is sent to one address: bodies are read before their signature can be checked, and whoever sends many
slowly to one address keeps nobody away from the others."""
BODY_SECONDS = 10.0
"""Vendors send at once; who sends a byte now and then holds a connection and nothing else."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Uploads:
    """The bodies that one process reads."""

    def __init__(
        self,
        *,
        body_seconds: float = BODY_SECONDS,
        limit_bytes: int = BODY_LIMIT_BYTES,
        reading_limit_bytes: int = READING_LIMIT_BYTES,
    ) -> None:
        self._body_seconds = body_seconds
        self._reading_limit_bytes = reading_limit_bytes
        self._limit_bytes = limit_bytes
        self._reading_bytes = 0
        self._reading_of: Counter[Hashable] = Counter()

    async def body(self, receive: Receive, whose: Hashable, declared: str = "") -> bytes:
        """Return the body of one request. Raises Refused.

        `whose` is the address that it was sent to, one of those that there are: it is not counted otherwise. `declared`
        is its Content-Length: what is too long by its own word is not read at all.
        """
        if declared.isdecimal() and (len(declared) > 15 or int(declared) > self._limit_bytes):
            raise self._too_long()
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                while await self._more(receive, whose, body):
                    pass
        except TimeoutError:
            raise Refused(408, "the body did not come in time") from None
        finally:
            self._count(whose, -len(body))
        return bytes(body)

    async def _more(self, receive: Receive, whose: Hashable, body: bytearray) -> bool:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the client left")
        chunk = message.get("body", b"")
        body += chunk
        self._count(whose, len(chunk))
        if len(body) > self._limit_bytes:
            raise self._too_long()
        share = self._reading_of[whose] > self._reading_limit_bytes * SHARE
        if share or self._reading_bytes > self._reading_limit_bytes:
            raise Refused(503, "too much is being read")
        return bool(message.get("more_body", False))

    def _count(self, whose: Hashable, number: int) -> None:
        self._reading_bytes += number
        self._reading_of[whose] += number
        if not self._reading_of[whose]:
            del self._reading_of[whose]

    def _too_long(self) -> Refused:
        return Refused(413, "too long", f"over {self._limit_bytes} bytes")
