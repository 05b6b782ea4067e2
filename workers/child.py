"""The sending child: a Dramatiq worker that beats for its parent, drains on SIGTERM, and dies with its parent.

Once stopped it never goes on: see `workers.fence`.

Started by `workers.supervisor` as `python -m workers.child BEAT_FD PARENT_PID QUEUE...`.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

from dramatiq import Worker

from config.process import die_with
from config.settings import Settings, load
from workers import fence
from workers.actors import Application, on_loop
from workers.gate import RETIRED
from workers.runtime import Runtime
from workers.wiring import wire

BEATS_A_LEASE = 10
POLL_MILLISECONDS = 1_000
"""How long an idle thread of Dramatiq's sleeps; a wake token ends the consumers' sleep, work that of the threads."""
STOP_SHARE = 0.2
"""Of the time for draining: how long Dramatiq's threads, and then its consumers, may take to notice that they must
stop. With Redis away some would try to acknowledge for ever."""


def main(arguments: Sequence[str]) -> int:
    """Work until told to end; return 0, or RETIRED, when everything under way has ended well."""
    beat_fd, parent, queues = int(arguments[0]), int(arguments[1]), set(arguments[2:])
    fence.install()  # before there is any other thread
    # Without its parent nobody would notice that this process is silent.
    die_with(parent)
    told, open_ = threading.Event(), threading.Event()
    _listen_for_the_end(told, open_)
    settings = load()
    with ExitStack() as in_use:
        application = wire(in_use)
        worker = _worker(application, queues, settings)
        worker.start()
        open_.set()
        on_loop(_begin_to_beat(application.opening.runtime, beat_fd), timeout_seconds=10)
        told.wait()
        worker.stop(timeout=int(settings.drain_seconds * STOP_SHARE * 1000))
        return RETIRED if application.opening.runtime.retiring else 0


def _worker(application: Application, queues: set[str], settings: Settings) -> Worker:
    threads = settings.worker_threads
    return Worker(application.broker, queues=queues, worker_threads=threads, worker_timeout=POLL_MILLISECONDS)


def _listen_for_the_end(told: threading.Event, open_: threading.Event) -> None:
    """Have the first SIGTERM set `told`; before the worker is open, or told twice, the process ends where it stands.

    A terminal sends SIGINT to the parent as well, and the parent says SIGTERM: one Ctrl-C must not count twice.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        if told.is_set() or not open_.is_set():
            os._exit(1)
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _begin_to_beat(runtime: Runtime, beat_fd: int) -> None:
    every_seconds = runtime.settings.lease_seconds / BEATS_A_LEASE
    runtime.loops.append(asyncio.create_task(_beat(beat_fd, every_seconds), name="beat"))


async def _beat(beat_fd: int, every_seconds: float) -> None:
    """Beat from the loop that sends: what is measured is that it runs."""
    while True:
        os.write(beat_fd, b".")
        await asyncio.sleep(every_seconds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
