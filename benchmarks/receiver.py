"""Callbacks a second: the receiver beside a route that does nothing, in alternating pairs on the same cores."""

import asyncio
import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from benchmarks.callbacks import ENVIRONMENT, deliver, signed
from benchmarks.running import Fleet, fleet, servers, until

CONNECTIONS = 64
CORES = 2
PUBLIC_URL = "https://fleet.acme.io"


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: callbacks a second of each."""

    bare: float
    receiver: float


def measure(callbacks: int, pairs: int) -> list[Pair]:
    """Measure `pairs` times `callbacks` of each. Raises where one is not answered 204, or not stored."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    found = []
    with servers() as used:
        measured = fleet(used.database_url, used.redis_url, "http://127.0.0.1:9", {**ENVIRONMENT, **_public()})
        with _served(measured, "benchmarks.bare_route:app") as bare, _served(measured, "console.web:app") as receiver:
            for number in range(-1, pairs):
                requests = [signed(PUBLIC_URL, f"SM{uuid4().hex}") for _ in range(callbacks)]
                pair = Pair(_rate(bare, requests), _rate(receiver, requests))
                if number < 0:  # the first round warms both up
                    continue
                found.append(pair)
                print(
                    f"pair {number + 1}: bare route {pair.bare:.0f}/s, receiver {pair.receiver:.0f}/s "
                    f"({pair.receiver / pair.bare:.2f})",
                    flush=True,
                )
        with measured.connect() as database:
            stored = database.execute("SELECT count(*) FROM fleet.events").fetchone()
        assert stored == (callbacks * (pairs + 1),), f"{stored} were stored"
    return found


def report(pairs: list[Pair]) -> None:
    """Print the medians."""
    print(f"bare route {median(pair.bare for pair in pairs):.0f}/s (median)")
    ratio = median(pair.receiver / pair.bare for pair in pairs)
    print(f"callbacks, signed by Twilio: {ratio:.2f} of the bare route (target 0.3)")


def _public() -> dict[str, str]:
    return {"FLEET_PUBLIC_URL": PUBLIC_URL}


def _rate(port: int, requests: list[bytes]) -> float:
    return len(requests) / asyncio.run(deliver(port, requests, CONNECTIONS))


@contextmanager
def _served(measured: Fleet, app: str) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    measured.start(app, "uvicorn", app, "--port", str(port), "--no-access-log", "--log-level", "warning")
    try:
        until(lambda: _answers(port))
        yield port
    finally:
        measured.stop()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
