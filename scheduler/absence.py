"""A server that does not answer: said once when it goes and once when it is back, not at every try.

Refuses to decide how long to wait; the loop that tries does.
"""

from config import log

_log = log.get(__name__)


class Absence:
    """What one loop knows of one server. `facts` stand in both lines."""

    def __init__(self, server: str, **facts: str) -> None:
        self._server = server
        self._facts = facts
        self._lasts = False

    def noticed(self, error: BaseException) -> None:
        """Note that a try failed; says so where the one before did not."""
        if not self._lasts:
            _log.warning(f"{self._server}_away", error=type(error).__name__, **self._facts)
        self._lasts = True

    def over(self) -> None:
        """Note that a try went well."""
        if self._lasts:
            _log.info(f"{self._server}_back", **self._facts)
        self._lasts = False
