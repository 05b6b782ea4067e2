"""The keeper: ends the servers of a FLEET_HOME when their last user is gone, however it went.

    python -m config.embedded.keeper HOME

It waits in one system call for the use lock, which it gets when no user holds it any more. Who comes later waits for
that lock until the servers have ended. Its standard input is the keeper lock: the kernel closes files in the order of
their numbers, so a newcomer that gets the use lock after the keeper's death also finds the keeper lock free. Killed, it
is replaced by the next `running()`. Refuses to touch the servers of a FLEET_HOME that was removed and made anew.
"""

import sys
from pathlib import Path

from config.embedded.locks import USE_LOCK, Lock
from config.embedded.use import stop, stop_removed


def main(home: Path) -> None:
    """Wait for the last user of `home` to leave, and end its servers."""
    try:
        use = Lock(home / USE_LOCK, create=False)
    except FileNotFoundError:
        return
    with use:
        use.seize()
        end = stop if use.is_current() else stop_removed
        end(home)
        sys.stdin.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
