"""The folder outside FLEET_HOME that some homes need: a private one in the system's temporary directory.

It is made where the path of FLEET_HOME does not suit a socket, or where the servers' account cannot get to
FLEET_HOME or to the binaries (root with a 0700 folder on the way). Its name carries a hash of FLEET_HOME and a random
end that nobody can occupy before us; a note in FLEET_HOME tells every process where it is. Refuses a noted folder that
is a link, open to others, or made for another FLEET_HOME: a copied project must not share its original's servers.
"""

import hashlib
import json
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from config.embedded.account import Account
from config.embedded.errors import EmbeddedError
from config.embedded.owned import give, replace_text
from config.embedded.patience import say

_NOTE = "elsewhere.json"

SOCKET_PATH_BYTES = 100
"""The kernel takes 107 (sun_path in unix(7), less the closing zero); the rest is a margin for names made later."""
_LONGEST_SOCKET = "sockets/.s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the note says."""

    folder: Path
    holds_data: bool
    """Do the servers' data lie there too, or only what could not lie in FLEET_HOME?"""


def fits_sockets(folder: Path) -> bool:
    """Tell whether sockets below `folder` can be reached: a short path, and no comma, at which libpq splits hosts."""
    return len(bytes(folder / _LONGEST_SOCKET)) <= SOCKET_PATH_BYTES and "," not in str(folder)


def read(home: Path) -> Elsewhere | None:
    """Return the folder that the note of `home` names, if there is a note and the folder is what it should be."""
    noted = _read_note(home)
    return noted if noted and _is_intact(noted.folder, home) else None


def ensure(home: Path, account: Account, *, holds_data: bool | None = None) -> Elsewhere:
    """Return the folder of `home`, made and noted where there is none; `holds_data` None leaves that as it is."""
    noted, usable = _read_note(home), read(home)
    if noted and noted.holds_data and not usable:
        say(f"the data of {home} were in {noted.folder}, which is gone: starting with an empty database")
    holds_data = bool(usable and usable.holds_data) if holds_data is None else holds_data
    wanted = Elsewhere(usable.folder if usable else _make(home, account), holds_data)
    if wanted != usable:
        replace_text(home / _NOTE, json.dumps({"folder": str(wanted.folder), "holds_data": wanted.holds_data}))
    return wanted


def forget(home: Path) -> None:
    """Remove the note; the folder itself must be gone by then."""
    (home / _NOTE).unlink(missing_ok=True)


def _read_note(home: Path) -> Elsewhere | None:
    try:
        note = json.loads((home / _NOTE).read_text(encoding="utf-8"))
        return Elsewhere(Path(note["folder"]), bool(note["holds_data"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _is_intact(folder: Path, home: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return folder.name.startswith(_prefix(home)) and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077


def _make(home: Path, account: Account) -> Path:
    for place in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp makes it private
        if fits_sockets(place / (_prefix(home) + "12345678")) and account.reaches(place):
            folder = Path(tempfile.mkdtemp(prefix=_prefix(home), dir=place)).resolve()
            give(folder, account)
            return folder
    raise EmbeddedError(f"the account {account.name} can reach no temporary directory with a short path: set TMPDIR")


def _prefix(home: Path) -> str:
    return f"fleet-{hashlib.sha256(bytes(home)).hexdigest()[:12]}-"
