"""Named places in the code at which a test can have the process killed.

`FLEET_FAILPOINT=name:/path/of/a/file` kills the process with SIGKILL when it passes the place while the file is there,
once: whoever removes the file dies. Without the variable a place costs one comparison. Refuses every other way to
fail: what holds when a process is killed here holds for whatever else ends it here.
"""

import os
import signal
from pathlib import Path

PLACES = {
    "after_claim": "a relay's claim has committed, and Redis does not know of it",
    "after_enqueue": "the bundles of a claim are in Redis",
    "after_start": "a start has committed, and no request of it has left; its bundle is not acknowledged yet",
    "before_request": "a request is about to leave",
    "after_answer": "a vendor has answered, and nobody else knows",
    "before_settle": "outcomes are about to be written",
    "after_settle": "outcomes are written; their bundles were acknowledged long before, after the start",
    "in_rescuer": "the rescuer has taken batches from the dead, and their replays are not due to anybody yet",
    "after_replay_claim": "the rescuer has claimed replays, and Redis does not know of them",
    "in_reconciler": "a look-up has answered, and it is not written",
}
"""Name → where the process stands when it passes."""

_armed: tuple[str, Path] | None = None


def parse(text: str) -> tuple[str, Path]:
    """Read the variable's value: (name, file). Raises ValueError where it names no place, or no file."""
    name, _, file = text.partition(":")
    if name not in PLACES or not file:
        raise ValueError(f"must read name:/path/of/a/file, the name one of {', '.join(sorted(PLACES))}")
    return name, Path(file)


def arm(text: str | None) -> None:
    """Have this process die where the variable's value says; None: nowhere. Raises ValueError like `parse`."""
    global _armed  # noqa: PLW0603 - one value for the process, read on its hottest paths
    _armed = None if text is None else parse(text)


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
