"""Files and folders made for somebody else: what root makes here belongs to whom it was made for.

Root may work in a user's FLEET_HOME, so nothing here follows a link that this user may have put there, and no owner
or mode of anything that already existed is changed, but for the fleet's own small files.
"""

import os
from pathlib import Path

from config.embedded.account import Account
from config.embedded.errors import NotYours

_HOME_MODE = 0o711
"""Others may pass through but not look around: as root, the servers' account has to get to its own folders."""


def require_own(home: Path) -> None:
    """Raise NotYours where FLEET_HOME exists and neither root nor its owner asks."""
    if home.exists() and os.geteuid() not in (0, home.stat().st_uid):
        raise NotYours(home)


def make_home(home: Path) -> None:
    """Make FLEET_HOME where it is missing. Made by root, it belongs to the owner of the folder that it lies in.

    Raises NotYours where it cannot be made.
    """
    for folder in (*reversed(home.parents), home):
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except PermissionError as refused:
            raise NotYours(folder.parent) from refused
        if folder == home:
            # mkdir takes the umask into account, and a umask of 077 would shut the servers' account out.
            folder.chmod(_HOME_MODE)
        if os.geteuid() == 0:
            above = folder.parent.stat()
            os.chown(folder, above.st_uid, above.st_gid, follow_symlinks=False)


def make_folder(folder: Path, account: Account) -> None:
    """Make a folder that only `account` can look into; one that exists is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    give(folder, account)


def give(path: Path, account: Account) -> None:
    """Make `path` belong to `account`; only root can, and only root has to."""
    if os.geteuid() == 0:
        os.chown(path, account.user_id, account.group_id, follow_symlinks=False)


def open_file(path: Path, flags: int) -> int:
    """Open a file that belongs to the owner of its folder, private to that owner. Returns the descriptor."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that whoever reads it at any moment, or after a kill, finds the old text or the new one."""
    fresh = path.with_name(path.name + ".new")
    with open(open_file(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
