"""As whom the servers run: PostgreSQL refuses root, and a user's FLEET_HOME must stay that user's.

Owns the choice of the account and the question of what it can reach. Refuses to make accounts and to widen any mode:
where the chosen account cannot get to, the files go elsewhere (`place`, `binaries`).
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.embedded.errors import EmbeddedError

_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the operating system."""

    user_id: int
    group_id: int
    name: str

    @property
    def is_current(self) -> bool:
        """Is it the account of this process?"""
        return self.user_id == os.geteuid()

    def identity(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess` start a program as this account."""
        if self.is_current:
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": ()}

    def reaches(self, path: Path) -> bool:
        """Tell whether the account may execute the program, or pass through the folder, at `path`.

        It is tried as that account, not read off the modes: access lists and mounts decide too.
        """
        if self.is_current:
            return os.access(path, os.X_OK)
        command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        try:
            tried = subprocess.run(  # noqa: S603 - our own words around one path
                command, cwd="/", stdin=subprocess.DEVNULL, check=False, **self.identity()
            )
        except OSError as refused:
            raise EmbeddedError(
                f"root cannot become {self.name} here, and PostgreSQL refuses to run as root"
            ) from refused
        return tried.returncode == 0


def choose(*folders: Path) -> Account:
    """Return the account for the servers whose files lie in `folders`, the most telling first.

    An ordinary user's servers run as that user. Root's run as the first owner of `folders` that is not root, else as
    an unprivileged account. Raises EmbeddedError where there is none.
    """
    if os.geteuid() != 0:
        return _of(os.geteuid()) or Account(os.geteuid(), os.getegid(), f"user {os.geteuid()}")
    for folder in folders:
        owner = folder.stat().st_uid if folder.exists() else 0
        # An owner that this machine does not know (a folder mounted into a container) cannot run initdb.
        if owner != 0 and (account := _of(owner)):
            return account
    for name in _UNPRIVILEGED:
        try:
            return _from(pwd.getpwnam(name))
        except KeyError:
            continue
    raise EmbeddedError(f"PostgreSQL refuses to run as root, and there is no account {' or '.join(_UNPRIVILEGED)}")


def _of(user_id: int) -> Account | None:
    try:
        return _from(pwd.getpwuid(user_id))
    except KeyError:
        return None


def _from(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
