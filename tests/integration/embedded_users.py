"""What the tests of the embedded servers share: other processes that use them, and a look at what is left of them.

Owns no test. A `User` is a real process, so that it can be killed for real.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg
import redis

from config import embedded
from config.embedded import elsewhere

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0

_USER = """
import dataclasses, json, sys
from pathlib import Path
from config import embedded
with getattr(embedded, sys.argv[1])(Path(sys.argv[2]), **json.loads(sys.argv[3])) as servers:
    print(json.dumps(dataclasses.asdict(servers), default=str), flush=True)
    sys.stdin.read()
"""


class User:
    """A process that uses the servers of `home` until it is told to leave, or is killed."""

    started: ClassVar[list["User"]] = []

    def __init__(
        self,
        home: Path,
        way: str = "running",
        *,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Start it in a process group of its own; `servers()` waits until it has them."""
        self.home = home
        self.started.append(self)
        given = {"durable": False} if way == "running" else {}
        self.process = subprocess.Popen(
            [python, "-c", _USER, way, str(home), json.dumps(given)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def servers(self) -> dict[str, Any]:
        """Return what it was given. Raises AssertionError with its complaint where it got nothing."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.leave())
        given: dict[str, Any] = json.loads(line)
        return given

    def leave(self) -> str:
        """Let it end in good order; return what it said on stderr."""
        return str(self.process.communicate(timeout=PATIENCE_SECONDS)[1])

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal its process group, as a terminal would, and wait for its end."""
        os.killpg(self.process.pid, number)
        self.leave()


@contextmanager
def erased_afterwards(home: Path) -> Iterator[Path]:
    """Give `home` to one test, and leave neither a process nor a file of it."""
    try:
        yield home
    finally:
        for user in User.started:
            if user.home == home and user.process.poll() is None:
                user.kill()
        embedded.erase(home)
        eventually(lambda: not living(home))


def living(home: Path) -> list[psutil.Process]:
    """Return every process that belongs to `home`: works below its folders, or names one of them in its command."""
    noted = elsewhere.read(home)
    roots = [str(home), *([str(noted.folder)] if noted else [])]
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(place.startswith(root) for place in places for root in roots):
            found.append(process)
    return found


def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; the limit is generous, for a machine that is busy."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still not: {condition}"
        time.sleep(0.02)


def ask(database_url: str, statement: str) -> Any:
    """Run one statement; return the first value of its answer, None where it has none."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None


@contextmanager
def redis_at(redis_url: str) -> Iterator["redis.Redis"]:
    """Connect to the Valkey at `redis_url`."""
    client = redis.Redis.from_url(redis_url)
    try:
        yield client
    finally:
        client.close()
