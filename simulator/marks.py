"""Recipients that carry their own fault, so that a load test can mark single messages at every vendor alike.

A local convention, no vendor's: mail to `<kind>+<anything>@resend.dev`, numbers `+1500 NNN 9 CCC` where CCC is the
code of `CODES` and NNN is free. `rejected` is refused for good; every other fault strikes a recipient once, so that
the next attempt goes through and a test can say exactly what must come out.
"""

import re
from collections.abc import Iterable

from simulator.faults import EVERY_VENDOR, KINDS, Fault, Moment

REJECTED = "rejected"

CODES = {
    "400": REJECTED,
    "429": "too_many",
    "500": "server_error",
    "501": "server_error_after_accept",
    "600": "drop",
    "601": "accept_then_drop",
    "700": "hang",
    "701": "accept_then_hang",
    "800": "slow",
    "900": "hide",
    "901": "redact",
}
"""The last three digits of a marked number, and what they order."""

_NUMBER = re.compile(r"\+1500\d{3}9(\d{3})")
_MAIL = re.compile(r"([a-z-]+)\+[^@]+@resend\.dev")


def mark_of(recipient: str) -> str | None:
    """Return the kind of fault that this recipient carries, `rejected` among them; None for everybody else."""
    if recipient.startswith("+1500"):
        number = _NUMBER.fullmatch(recipient)
        return CODES.get(number[1]) if number else None
    if recipient.endswith("@resend.dev"):
        mail = _MAIL.fullmatch(recipient)
        kind = mail[1].replace("-", "_") if mail else ""
        return kind if kind in KINDS or kind == REJECTED else None
    return None


class Marks:
    """Remembers which recipients met their fault already."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    def draw(self, recipients: Iterable[str], moments: tuple[Moment, ...]) -> Fault | None:
        """Return the fault of the first of these recipients that has one to meet; its equals meet it along with it."""
        kinds = {recipient: mark_of(recipient) for recipient in recipients}
        waiting = {
            recipient: kind
            for recipient, kind in kinds.items()
            if kind is not None and KINDS.get(kind) in moments and recipient not in self._met
        }
        if not waiting:
            return None
        struck = next(iter(waiting.values()))
        self._met.update(recipient for recipient, kind in waiting.items() if kind == struck)
        return Fault(EVERY_VENDOR, struck)
