"""Messages a second of this tree beside those of another revision, in alternating pairs on the same cores."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.running import ROOT, Fleet, bare_servers, fleet, module, running
from benchmarks.speed import LATENCY_MILLISECONDS, UNITS, throughput

CHANNELS = ("sms", "email")


def measure(revision: str, rows: int, pairs: int) -> dict[str, list[float]]:
    """Return, by channel, this tree's messages a second divided by the other's, once for each pair."""
    ratios: dict[str, list[float]] = {channel: [] for channel in CHANNELS}
    with (
        _checked_out(revision) as other,
        module("benchmarks.stand_in", "--latency-ms", str(LATENCY_MILLISECONDS)) as at,
    ):
        for number in range(pairs):
            # Who goes first changes: what the first one leaves warm must not always help the second.
            trees = (ROOT, other) if number % 2 else (other, ROOT)
            found = {tree: _speeds(tree, at, rows) for tree in trees}
            for channel in CHANNELS:
                ratios[channel].append(found[ROOT][channel] / found[other][channel])
            told = ", ".join(f"{name} {found[ROOT][name]:.0f}/s beside {found[other][name]:.0f}/s" for name in CHANNELS)
            print(f"pair {number + 1}: {told}", flush=True)
    return ratios


def report(revision: str, ratios: dict[str, list[float]]) -> None:
    """Print the medians."""
    for channel, found in ratios.items():
        print(f"{channel}: {median(found):.2f} of {revision} (median, target 0.9)")


def _speeds(tree: Path, vendor: str, rows: int) -> dict[str, float]:
    with bare_servers() as used:
        measured = _of_tree(fleet(used.database_url, used.redis_url, vendor), tree)
        migrate = [sys.executable, "-m", "console", "db", "migrate"]
        subprocess.run(migrate, env=measured.environment, cwd=tree, check=True, capture_output=True)
        with running(measured, UNITS):
            return {channel: throughput(measured, channel, rows) for channel in CHANNELS}


def _of_tree(measured: Fleet, tree: Path) -> Fleet:
    return replace(measured, root=tree, environment={**measured.environment, "PYTHONPATH": str(tree)})


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), revision], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
