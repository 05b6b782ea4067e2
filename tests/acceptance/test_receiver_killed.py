"""The web process is killed under load, Redis is wiped, PostgreSQL restarted: what was answered 2xx is stored, once."""

import asyncio
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import psutil
import pytest

from benchmarks.callbacks import ENVIRONMENT, signed
from benchmarks.running import until
from tests.acceptance.conftest import FULL
from tests.chaos.stage import COMMANDS, Stage, stage

DISTURBANCES = 60 if FULL else 6
VENDORS = 12
"""Callbacks under way at once; every second one is never sent again."""
PATIENCE_SECONDS = 20.0


@dataclass
class Load:
    """Vendors that call back until they are told to stop, and what they were answered."""

    port: int
    public_url: str
    over: bool = False
    taken: set[str] = field(default_factory=set)
    """The ids of the callbacks that were answered 2xx."""
    answers: Counter[int] = field(default_factory=Counter)
    """By status; 0 where there was no answer."""

    def run(self) -> None:
        """Call back until `over`."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        await asyncio.gather(*(self._vendor(repeats=number % 2 == 0) for number in range(VENDORS)))

    async def _vendor(self, *, repeats: bool) -> None:
        while not self.over:
            sid = f"SM{uuid4().hex}"
            request = signed(self.public_url, sid)
            status = await self._answer(request)
            while repeats and status != 204 and not self.over:
                await asyncio.sleep(0.2)  # so a vendor waits before it comes again
                status = await self._answer(request)
            if status == 204:
                self.taken.add(sid)

    async def _answer(self, request: bytes) -> int:
        status = 0
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(request)
                    status = int((await reader.readuntil(b"\r\n"))[9:12])
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass
        self.answers[status] += 1
        if status == 0:
            await asyncio.sleep(0.02)
        return status


@pytest.fixture
def web() -> Iterator[Stage]:
    """Servers of the test's own, and a web process that is started again when it dies."""
    with stage() as set_up:
        set_up.fleet.environment |= ENVIRONMENT
        yield set_up


def _disturb(on: Stage, kind: str, chance: random.Random) -> None:
    if kind == "web":
        process = on.process("web")
        assert process is not None
        process.send_signal(signal.SIGKILL)
        psutil.wait_procs([process], timeout=30)
    elif kind == "redis":
        on.kill_redis()
    else:
        on.restart_postgres(chance.choice((signal.SIGINT, signal.SIGKILL)))
    on.keep_running()


def test_what_was_answered_is_stored_once_whatever_dies(web: Stage) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    kinds = [*("web", "postgres", "redis") * (DISTURBANCES // 6), *["web"] * (DISTURBANCES // 2)]
    chance.shuffle(kinds)
    web.commands = {"web": web.commands["web"]}
    web.keep_running()
    load = Load(int(web.fleet.environment["PORT"]), web.fleet.environment["FLEET_PUBLIC_URL"])
    vendors = threading.Thread(target=load.run)
    vendors.start()
    try:
        for kind in kinds:
            before = len(load.taken)
            until(lambda before=before: len(load.taken) > before + 50)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.3))  # the moment is what is tried
            _disturb(web, kind, chance)
        before = len(load.taken)
        until(lambda: len(load.taken) > before)
    finally:
        load.over = True
        vendors.join()

    print(f"{dict(Counter(kinds))}; answered {dict(load.answers)}")
    with web.connect() as database:
        found = database.execute("SELECT provider_message_id, count(*) FROM fleet.events GROUP BY 1").fetchall()
        stored = {sid for sid, _ in found}
        assert load.taken <= stored, f"lost: {load.taken - stored}"
        assert {count for _, count in found} == {1}
        assert not load.answers[500]

        web.commands |= {name: COMMANDS[name] for name in ("scheduler-1", "worker-1")}
        web.keep_running()
        untouched = "SELECT FROM fleet.events WHERE applied_at IS NULL AND tries = 0 LIMIT 1"
        until(lambda: database.execute(untouched).fetchone() is None)
