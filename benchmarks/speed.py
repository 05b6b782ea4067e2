"""Messages a second: the fleet beside the bare loop, in alternating pairs on the same cores."""

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from benchmarks.load import insert
from benchmarks.running import ROOT, Fleet, fleet, module, running, servers, until

LATENCY_MILLISECONDS = 25
UNITS = (("email", "sms"), ("email", "sms"))


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: messages a second of each."""

    loop: float
    sms: float
    email: float


def measure(rows: int, pairs: int) -> list[Pair]:
    """Measure `pairs` times `rows` messages of each kind."""
    found = []
    with servers() as used, module("benchmarks.stand_in", "--latency-ms", str(LATENCY_MILLISECONDS)) as vendor:
        measured = fleet(used.database_url, used.redis_url, vendor)
        for number in range(pairs):
            loop = _loop(measured, vendor, rows)
            with running(measured, UNITS):
                pair = Pair(loop, throughput(measured, "sms", rows), throughput(measured, "email", rows))
            found.append(pair)
            print(
                f"pair {number + 1}: bare loop {pair.loop:.0f}/s, sms {pair.sms:.0f}/s ({pair.sms / pair.loop:.2f}), "
                f"email {pair.email:.0f}/s ({pair.email / pair.loop:.2f})",
                flush=True,
            )
    return found


def report(pairs: list[Pair]) -> None:
    """Print the medians."""
    sms = median(pair.sms / pair.loop for pair in pairs)
    email = median(pair.email / pair.loop for pair in pairs)
    print(f"bare loop {median(pair.loop for pair in pairs):.0f}/s (median)")
    print(f"sms, one request each:    {sms:.2f} of the bare loop (target 0.5)")
    print(f"email, batch endpoint:    {email:.2f} of the bare loop (target 1.0)")


def _loop(measured: Fleet, vendor: str, rows: int) -> float:
    _fill(measured, "sms", rows)
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.bare_loop", measured.database_url, vendor]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    for process in processes:
        process.wait()
    return rows / (time.monotonic() - began)


def throughput(measured: Fleet, channel: str, rows: int) -> float:
    """Insert while the fleet is at work; the clock runs from the commit to the last settlement."""
    _fill(measured, channel, rows)
    began = time.monotonic()
    with measured.connect() as database:
        left = b"SELECT FROM channel_outbox WHERE status IN ('scheduled', 'queued', 'sending') LIMIT 1"
        until(lambda: database.execute(left).fetchone() is None, patience_seconds=300, pause_seconds=0.02)
        elapsed = time.monotonic() - began
        sent = database.execute("SELECT count(*) FROM channel_outbox WHERE status = 'sent'").fetchone()
        assert sent is not None
        assert sent[0] == rows, f"{sent[0]} of {rows} were sent"
    return rows / elapsed


def _fill(measured: Fleet, channel: str, rows: int) -> None:
    with measured.connect() as database:
        database.execute("TRUNCATE channel_outbox, fleet.attempts")
        insert(database, channel, rows, uuid4().hex)
        database.execute("VACUUM ANALYZE channel_outbox")
