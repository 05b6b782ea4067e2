"""Bodies of requests, read within bounds: of one body, of all that are being read at once, and of time.

Refuses to look into them. A body that is given up is not read to its end.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from console.refusals import Refused

BODY_LIMIT_BYTES = 1_048_576
READING_LIMIT_BYTES = 67_108_864
BODY_SECONDS = 10.0
"""Vendors send at once; who sends a byte now and then holds a connection and nothing else."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Uploads:
    """The bodies that one process reads."""

    def __init__(self, *, body_seconds: float = BODY_SECONDS, reading_limit_bytes: int = READING_LIMIT_BYTES) -> None:
        self._body_seconds = body_seconds
        self._reading_limit_bytes = reading_limit_bytes
        self._reading_bytes = 0

    async def body(self, receive: Receive, declared: str = "") -> bytes:
        """Return the body of one request. Raises Refused.

        `declared` is its Content-Length: what is too long by its own word is not read at all.
        """
        if declared.isdecimal() and (len(declared) > 15 or int(declared) > BODY_LIMIT_BYTES):
            raise _too_long()
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                while await self._more(receive, body):
                    pass
        except TimeoutError:
            raise Refused(408, "the body did not come in time") from None
        finally:
            self._reading_bytes -= len(body)
        return bytes(body)

    async def _more(self, receive: Receive, body: bytearray) -> bool:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the client left")
        chunk = message.get("body", b"")
        body += chunk
        self._reading_bytes += len(chunk)
        if len(body) > BODY_LIMIT_BYTES:
            raise _too_long()
        if self._reading_bytes > self._reading_limit_bytes:
            raise Refused(503, "too much is being read")
        return bool(message.get("more_body", False))


def _too_long() -> Refused:
    return Refused(413, "too long", f"over {BODY_LIMIT_BYTES} bytes")
