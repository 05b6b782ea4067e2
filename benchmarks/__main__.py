"""`python -m benchmarks [--short]`: speed beside the bare loop, latency, cost when idle, cost of a revoked key.

`--against REVISION`: this tree's speed beside another revision's, and nothing else. `--receiver`: callbacks a second
beside a route that does nothing, and nothing else.
"""

import argparse
import sys

from benchmarks import against, latency, receiver, revoked, speed

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("--short", action="store_true", help="small numbers, to see that it works")
parser.add_argument("--only", choices=("speed", "latency", "revoked"))
parser.add_argument("--against", metavar="REVISION")
parser.add_argument("--receiver", action="store_true")
given = parser.parse_args()

if given.against:
    rows, pairs = (2_000, 1) if given.short else (20_000, 5)
    against.report(given.against, against.measure(given.against, rows, pairs))
    sys.exit()

if given.receiver:
    receiver.report(receiver.measure(callbacks=1_000 if given.short else 3_000, pairs=1 if given.short else 5))
    sys.exit()

if given.only in {None, "speed"}:
    speed.report(speed.measure(rows=2_000 if given.short else 20_000, pairs=1 if given.short else 5))
if given.only in {None, "latency"}:
    found = latency.measure(
        inserts=20 if given.short else 500, runs=1 if given.short else 3, idle_seconds=3 if given.short else 60
    )
    latency.report(*found)
if given.only in {None, "revoked"}:
    for share in (1 / 9, 1.0):
        rows, pairs = (1_000, 1) if given.short else (10_000, 5)
        revoked.report(revoked.measure(rows, pairs, share), share)
