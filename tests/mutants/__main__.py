"""Runs the tests against each mutant: `python -m tests.mutants [NAME...]`. Exit 1 where one survives.

A test that fails kills a mutant; an error before the test, such as one of collection or of a migration, does not. The
tests must pass on the tree as it is, otherwise nothing is learnt from their failing.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config import embedded
from tests.conftest import ROOT
from tests.mutants import Mutant, tree
from tests.mutants.guards import GUARDS

_FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)


class NotRun(Exception):
    """The tests ended without a verdict: an error of collection, or before the first test."""


def main(names: Sequence[str]) -> int:
    """Run the mutants of these names, or all; print a table and return how it ended."""
    chosen = [mutant for mutant in GUARDS if not names or mutant.name in names]
    if unknown := set(names) - {mutant.name for mutant in chosen}:
        print(f"no such mutant: {', '.join(sorted(unknown))}")
        return 2
    with _servers() as environment:
        wanted = sorted({test for mutant in chosen for test in mutant.tests})
        with tree(ROOT) as copy:
            if failing := _failing(copy, wanted, environment):
                print(f"fails on the tree as it is: {failing}")
                return 1
        survived = [mutant for mutant in chosen if not _killed(mutant, environment)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants were killed")
    return 1 if survived else 0


def _killed(mutant: Mutant, environment: dict[str, str]) -> bool:
    began = time.monotonic()
    with tree(ROOT, mutant) as copy:
        try:
            killer = _failing(copy, mutant.tests, environment)
        except NotRun as why:
            print(why)
            killer = None
    print(f"{mutant.name:<58} {killer or 'SURVIVED'}  {time.monotonic() - began:.0f} s", flush=True)
    return killer is not None


def _failing(root: Path, tests: Iterable[str], environment: dict[str, str]) -> str | None:
    """Run tests in a tree; return the first that fails. Raises NotRun."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    ended = subprocess.run(
        command, cwd=root, env={**environment, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    if failed := _FAILED.search(ended.stdout):
        return failed.group(1)
    if ended.returncode != 0:
        raise NotRun(f"pytest ended with {ended.returncode}:\n{ended.stdout[-4000:]}{ended.stderr[-2000:]}")
    return None


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """Run servers that all runs share; give the environment that names them."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # as root the servers run as another account, which must reach its data
        with embedded.running(home, durable=False) as running:
            named = {"TEST_DATABASE_URL": running.database_url, "TEST_REDIS_URL": running.redis_url}
            yield {**os.environ, **named}
        embedded.erase(home)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
