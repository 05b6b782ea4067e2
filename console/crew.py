"""The processes that `fleet up` runs: started together, started again when they die, ended together.

Refuses to know what they do. Each runs in a process group of its own, so that Ctrl-C reaches only `fleet up`, which
then ends them in order and waits; each is told by the kernel when `fleet up` itself is killed.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from config.process import signal_when_parent_dies

BACKOFF_SECONDS = (0.2, 1.0, 2.0, 5.0, 15.0)
STEADY_SECONDS = 30.0
"""A process that lived this long was well: its next restart is quick again. So it is after one that was killed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Member:
    """One process: a Python module and its arguments."""

    name: str
    arguments: Sequence[str]

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", *self.arguments]


class Crew:
    """Runs the members until `end` is called."""

    def __init__(
        self, members: Sequence[Member], environment: Mapping[str, str], patience_seconds: float, say: Say
    ) -> None:
        """`environment` is all that the members get of one."""
        self._members = members
        self._environment = dict(environment)
        self._patience_seconds = patience_seconds
        self._say = say
        self._ending = asyncio.Event()
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        """By name of the member: what runs now."""

    def end(self) -> None:
        """End every member; `run` returns when they are gone."""
        self._ending.set()

    async def run(self) -> None:
        """Run all members; return when they were told to end and have."""
        await asyncio.gather(*(self._keep(member) for member in self._members))

    async def _keep(self, member: Member) -> None:
        failures = 0
        while not self._ending.is_set():
            began = monotonic()
            code = await self._one_life(member)
            if self._ending.is_set():
                return
            failures = 0 if code < 0 or monotonic() - began > STEADY_SECONDS else failures + 1
            wait = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            self._say(f"{member.name} ended ({_how(code)}); it is started again in {wait:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), wait)

    async def _one_life(self, member: Member) -> int:
        process = await asyncio.create_subprocess_exec(
            *member.command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
            preexec_fn=signal_when_parent_dies,
        )
        self.processes[member.name] = process
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(self._ending.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not ended.done():
            await self._stop(process, ended)
        return await ended

    async def _stop(self, process: asyncio.subprocess.Process, ended: "asyncio.Task[int]") -> None:
        """Ask it to end, and make it where it does not."""
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait({ended}, timeout=self._patience_seconds)
        if not done:
            with suppress(ProcessLookupError):
                process.kill()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
