"""A vendor that costs next to nothing: accepts everything after a fixed wait, counts, checks nothing.

`python -m benchmarks.stand_in --latency-ms 25` prints its address. It answers at the paths of all three vendors, so
that what is measured is the fleet and not the vendor. The simulator is the faithful one.
"""

import argparse
import asyncio
import sys
from time import time
from typing import Any
from uuid import uuid4

import orjson


class Counts:
    """What was accepted."""

    def __init__(self) -> None:
        self.requests = 0
        self.accepted = 0
        self.arrivals: list[float] = []
        """Wall-clock seconds of each request, for the latency benchmark on this machine."""

    def accept(self, path: str, body: bytes) -> bytes:
        """Count one request and return the vendor's answer."""
        self.requests += 1
        self.arrivals.append(time())
        if path == "/emails/batch":
            answer: Any = {"data": [{"id": str(uuid4())} for _ in orjson.loads(body)]}
            self.accepted += len(answer["data"])
            return orjson.dumps(answer)
        self.accepted += 1
        if path.endswith(".json"):
            return orjson.dumps({"sid": f"SM{uuid4().hex}", "status": "queued"})
        return orjson.dumps({"id": str(uuid4())})


class StandIn(asyncio.Protocol):
    """Just enough of HTTP/1.1: one request at a time on a connection, with Content-Length."""

    def __init__(self, counts: Counts, latency_seconds: float) -> None:
        self._counts = counts
        self._latency_seconds = latency_seconds
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        length = _content_length(head)
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if method == "GET":
            self._answer(orjson.dumps(vars(self._counts)))
            return
        answer = self._counts.accept(path.split("?")[0], body)
        asyncio.get_running_loop().call_later(self._latency_seconds, self._answer, answer)

    def _answer(self, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


async def _serve(latency_seconds: float, port: int) -> None:
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(
        lambda: StandIn(counts, latency_seconds), "127.0.0.1", port, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=25.0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(sys.argv[1:])
    asyncio.run(_serve(given.latency_ms / 1000, given.port))
