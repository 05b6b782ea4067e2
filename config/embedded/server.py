"""What the two servers have in common: the questions that `lifecycle` asks in order to bring one up or down.

Owns no policy: when to ask, how long to wait and whom to signal is decided in `lifecycle`.
"""

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from config.embedded.account import Account
from config.embedded.binaries import Wheel
from config.embedded.place import Place
from config.embedded.processes import working_in


@dataclass(frozen=True, slots=True)
class Start:
    """What one start of a server needs besides its place."""

    program: Path
    """The server's binary, executable for `account`."""
    account: Account
    durable: bool
    """False gives up what only a crash of the whole machine would need; for tests."""


class Server(ABC):
    """One server of a FLEET_HOME: its folder, and how it is started, recognised, asked and ended."""

    name: ClassVar[str]
    wheel: ClassVar[Wheel]
    farewell: ClassVar[signal.Signals]
    """Ends it in good order."""
    abort: ClassVar[signal.Signals]
    """Ends it at once, losing nothing that the next start cannot restore."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.refusal = ""
        """Why the last question got no answer, in the words of who should have answered it."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The working directory of all its processes."""

    @property
    def program(self) -> str:
        """The name of its binary."""
        return Path(self.wheel.program).name

    @property
    def log(self) -> Path:
        """What it says, since its last start; in FLEET_HOME wherever its folder is."""
        return self.place.home / f"{self.name.lower()}.log"

    def processes(self) -> list[psutil.Process]:
        """Return all its live processes."""
        return working_in(self.folder, self.program)

    @abstractmethod
    def leader(self, processes: Sequence[psutil.Process]) -> psutil.Process | None:
        """Return the server itself; None if `processes` are only what a dead one left behind."""

    @abstractmethod
    def make_ready(self, start: Start) -> None:
        """Make what a start needs and remove what a dead server left. Called only while `processes()` is empty."""

    @abstractmethod
    def command(self, start: Start) -> list[str]:
        """Return the command that runs it in the foreground."""

    @abstractmethod
    def answers(self, leader: psutil.Process) -> bool:
        """Ask it something. True only if it answered from our folder.

        Raises NotUp if something else answers at our address.
        """

    @abstractmethod
    def complete(self) -> None:
        """Make what must exist in it, now that it answers. Called after every start."""

    def last_words(self, lines: int = 1) -> str:
        """Return the end of its log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    @abstractmethod
    def progress(self) -> object:
        """Return something that changes as long as waiting for an answer is worth it."""
