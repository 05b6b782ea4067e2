"""The simulator beside the fleet, for vendors that are not configured."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from config.catalog import CATALOG


def unconfigured(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the vendors that have neither credentials nor an address of their own in the environment."""
    return [
        name
        for name, facts in CATALOG.items()
        if not environ.get(facts.key_variable) and not environ.get(facts.url_variable)
    ]


def addresses(vendors: Sequence[str], url: str) -> dict[str, str]:
    """Return the environment that leads these vendors to a simulator at `url`."""
    return {CATALOG[name].url_variable: url for name in vendors}


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run a simulator on a free port; give its address."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "simulator", "--port", "0", "--die-with-parent", *arguments],
        stdin=subprocess.PIPE,  # its end, by whichever death of ours, is the simulator's end
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        first = process.stdout.readline() if process.stdout else ""
        if "http" not in first:
            raise RuntimeError("the simulator did not start")
        yield first.split()[-1]
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
