"""Named places in the code at which a test can have the process killed.

`FLEET_FAILPOINT=name:/path/of/a/file` kills the process with SIGKILL when it passes the place, once: whoever removes
the file dies. Without the variable a place costs one comparison.
"""

import os
import signal
from pathlib import Path

NAMES = frozenset(
    {
        "after_claim",
        "after_enqueue",
        "after_start",
        "before_request",
        "after_answer",
        "before_settle",
        "after_settle",
        "in_rescuer",
        "in_reconciler",
    }
)
"""After a claim committed; after its bundles are in Redis; after a start committed; before a request leaves; after the
vendor answered; before and after a settlement's statement; after the rescuer took a batch, before its replay is
enqueued; after a look-up answered, before it is written."""

_armed: tuple[str, Path] | None = None


def arm(text: str | None) -> None:
    """Read the variable's value. Raises ValueError where it names no place."""
    global _armed  # noqa: PLW0603 - one value for the process, read on its hottest paths
    name, _, file = (text or "").partition(":")
    if text and (name not in NAMES or not file):
        raise ValueError(f"must read name:/path, the name one of {', '.join(sorted(NAMES))}")
    _armed = (name, Path(file)) if text else None


def passing(name: str) -> None:
    """Say that the process passes the place `name`; does not return where it is armed."""
    if _armed is not None and _armed[0] == name:
        _die(_armed[1])


def _die(file: Path) -> None:
    try:
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
