"""From the commit of an insert to the provider's request, on an idle fleet; and what idling costs.

One worker unit for email, sms and voice. The stand-in and this process read the same clock.
"""

import json
import time
import urllib.request
from dataclasses import dataclass
from statistics import median, quantiles
from uuid import uuid4

import psutil
from psycopg.types.json import Jsonb

from benchmarks.running import Fleet, fleet, module, running, servers, until

UNIT = ("email", "sms", "voice")
PAUSE_SECONDS = 0.05
_INSERT = """
INSERT INTO channel_outbox (workspace_id, channel, recipient_phone, payload, status, idempotency_key)
VALUES (gen_random_uuid(), 'sms', '+14155550100', %s, 'scheduled', %s)
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    median: float
    p99: float


def measure(inserts: int, runs: int, idle_seconds: float) -> tuple[list[Latency], float]:
    """Return the latency of each run, and the share of one core that scheduler and unit take when idle."""
    with servers() as used, module("benchmarks.stand_in", "--latency-ms", "0") as vendor:
        measured = fleet(used.database_url, used.redis_url, vendor)
        with running(measured, [UNIT]):
            _one_by_one(measured, vendor, 20)
            found = [_one_by_one(measured, vendor, inserts) for _ in range(runs)]
            return found, _idle_share(measured, idle_seconds)


def report(found: list[Latency], idle_share: float) -> None:
    """Print them."""
    for number, run in enumerate(found):
        print(
            f"insert to request, run {number + 1}: median {run.median:.1f} ms, p99 {run.p99:.1f} ms (targets 60, 250)"
        )
    print(f"idle, scheduler and unit together: {idle_share:.1%} of one core (target 5%)")


def _one_by_one(measured: Fleet, vendor: str, inserts: int) -> Latency:
    before = len(_arrivals(vendor))
    committed = []
    with measured.connect() as database:
        for _ in range(inserts):
            database.execute(_INSERT, (Jsonb({"body": "Hello"}), uuid4().hex))
            committed.append(time.time())
            time.sleep(PAUSE_SECONDS)
    until(lambda: len(_arrivals(vendor)) >= before + inserts)
    waits = [(arrived - sent) * 1000 for arrived, sent in zip(_arrivals(vendor)[before:], committed, strict=True)]
    return Latency(median(waits), quantiles(waits, n=100)[98])


def _arrivals(vendor: str) -> list[float]:
    with urllib.request.urlopen(vendor, timeout=10) as answer:
        arrivals: list[float] = json.load(answer)["arrivals"]
        return arrivals


def _idle_share(measured: Fleet, seconds: float) -> float:
    time.sleep(2)
    began = _cpu_seconds(measured)
    time.sleep(seconds)
    return (_cpu_seconds(measured) - began) / seconds


def _cpu_seconds(measured: Fleet) -> float:
    processes = [psutil.Process(process.pid) for process in measured.processes.values()]
    everyone = [*processes, *(child for process in processes for child in process.children(recursive=True))]
    return sum(sum(one.cpu_times()[:2]) for one in everyone)
