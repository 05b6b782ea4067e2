"""`python -m benchmarks [--short]`: speed beside the bare loop, latency and cost on an idle fleet."""

import argparse

from benchmarks import latency, speed

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("--short", action="store_true", help="small numbers, to see that it works")
parser.add_argument("--only", choices=("speed", "latency"))
given = parser.parse_args()

if given.only != "latency":
    speed.report(speed.measure(rows=2_000 if given.short else 20_000, pairs=1 if given.short else 5))
if given.only != "speed":
    found = latency.measure(
        inserts=20 if given.short else 500, runs=1 if given.short else 3, idle_seconds=3 if given.short else 60
    )
    latency.report(*found)
