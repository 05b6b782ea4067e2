"""The faults that were ordered: which vendor, which kind, how often, how long.

Decides whether a request meets one. Refuses to carry it out: that is `simulator.vendor`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

VENDORS = ("resend", "twilio", "vapi")
EVERY_VENDOR = "*"
OPERATIONS = ("create", "read", "any")


class Moment(Enum):
    """When a fault strikes, seen from the request."""

    ARRIVAL = "arrival"
    """Before anything was read or accepted."""
    WORK = "work"
    """While the vendor works on it."""
    ACCEPTANCE = "acceptance"
    """As one send is accepted; it strikes each send of a batch by itself."""
    ANSWER = "answer"
    """After it was accepted, before the answer."""


KINDS: Mapping[str, Moment] = {
    "too_many": Moment.ARRIVAL,
    "server_error": Moment.ARRIVAL,
    "hang": Moment.ARRIVAL,
    "drop": Moment.ARRIVAL,
    "slow": Moment.WORK,
    "hide": Moment.ACCEPTANCE,
    "redact": Moment.ACCEPTANCE,
    "server_error_after_accept": Moment.ANSWER,
    "accept_then_hang": Moment.ANSWER,
    "accept_then_drop": Moment.ANSWER,
}

_DEFAULT_SECONDS = {"hang": 30.0, "accept_then_hang": 30.0, "slow": 1.0, "hide": 5.0}


@dataclass(slots=True)
class Fault:
    """One order; `remaining` None stands for "until cleared", `seconds` None for "as the vendor does by itself"."""

    vendor: str
    kind: str
    operation: str = "create"
    rate: float = 1.0
    remaining: int | None = None
    seconds: float | None = None
    met: int = 0

    def __post_init__(self) -> None:
        if self.seconds is None:
            self.seconds = _DEFAULT_SECONDS.get(self.kind)

    @classmethod
    def parse(cls, order: Any) -> "Fault":
        """Read the JSON of `POST /faults`. Raises ValueError with one sentence for the caller."""
        known = {"vendor", "kind", "operation", "rate", "count", "seconds"}
        if not isinstance(order, dict) or not order.keys() <= known:
            raise ValueError(f"a fault is an object with {', '.join(sorted(known))}")
        _require(order.get("vendor") in (*VENDORS, EVERY_VENDOR), f"vendor is one of {', '.join(VENDORS)} or *")
        _require(str(order.get("kind")) in KINDS, f"kind is one of {', '.join(KINDS)}")
        _require(order.get("operation", "create") in OPERATIONS, f"operation is one of {', '.join(OPERATIONS)}")
        _require("rate" in order or "count" in order, "a fault needs a rate, a count or both")
        _require(_is_number(order.get("rate", 1)) and 0 <= order.get("rate", 1) <= 1, "rate is between 0 and 1")
        count, seconds = order.get("count"), order.get("seconds")
        _require(count is None or (type(count) is int and count > 0), "count is a whole number above 0")
        _require(seconds is None or (_is_number(seconds) and seconds >= 0), "seconds is a number of at least 0")
        return cls(
            order["vendor"], order["kind"], order.get("operation", "create"), order.get("rate", 1.0), count, seconds
        )

    def strikes(self, vendor: str, operation: str, moment: Moment) -> bool:
        """Tell whether this order is meant for such a request at such a moment."""
        return (
            KINDS[self.kind] is moment
            and self.vendor in (vendor, EVERY_VENDOR)
            and self.operation in (operation, "any")
            and self.remaining != 0
        )


class Faults:
    """The standing orders, oldest first; a request meets at most one at each moment."""

    def __init__(self, seed: int | None) -> None:
        self.orders: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 - a seeded run must repeat itself

    def draw(self, vendor: str, operation: str, moment: Moment) -> Fault | None:
        """Return the fault that this request meets now, and count it off."""
        for order in self.orders:
            if order.strikes(vendor, operation, moment) and self._random.random() < order.rate:
                order.met += 1
                if order.remaining is not None:
                    order.remaining -= 1
                return order
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
