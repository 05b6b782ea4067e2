"""What was ordered of the callbacks: whether they go out, when, how often, and by which shares sends end.

Owns the JSON of `POST /callbacks`. Refuses to carry an order out: that is `simulator.callbacks`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from simulator.ends import SHARES, End
from simulator.faults import EVERY_VENDOR, VENDORS

_SECONDS = ("delay_seconds", "spread_seconds", "retry_factor")


@dataclass(frozen=True, slots=True)
class Order:
    """How one vendor's callbacks go out: none at all unless `on`; and by which shares its sends end."""

    on: bool = False
    delay_seconds: float = 0.0
    """Everything is told this much later than it happened."""
    spread_seconds: float = 0.0
    """And each callback at a moment of its own within so many seconds more: they come out of order."""
    retry_factor: float = 1.0
    """What the vendor's waits before further tries are multiplied with."""
    doubled: float = 0.0
    """Sent twice."""
    lost: float = 0.0
    """Never sent."""
    failing_first: float = 0.0
    """The first try finds no connection; whether there is another is the vendor's way."""
    opened: float = 0.0
    clicked: float = 0.0
    unsubscribed: float = 0.0
    complained: float = 0.0
    bounced: float = 0.0
    soft_bounced: float = 0.0
    suppressed: float = 0.0
    undelivered: float = 0.0
    no_answer: float = 0.0

    @property
    def shares(self) -> Mapping[str, float]:
        """The shares of ends, by the end."""
        return {end: getattr(self, end) for end in End if hasattr(self, end)}


def parse(order: Any, orders: Mapping[str, Order]) -> Mapping[str, Order]:
    """Read the JSON of `POST /callbacks`: return the orders as they stand afterwards, by vendor.

    Raises ValueError with one sentence for the caller.
    """
    known = {one.name for one in fields(Order)}
    if not isinstance(order, dict) or not order.keys() <= known | {"vendor"}:
        raise ValueError(f"an order is an object with {', '.join(sorted(known | {'vendor'}))}")
    vendor = order.get("vendor", EVERY_VENDOR)
    if vendor not in (*VENDORS, EVERY_VENDOR):
        raise ValueError(f"vendor is one of {', '.join(VENDORS)} or *")
    numbers = {name: value for name, value in order.items() if name not in ("on", "vendor")}
    _check(numbers)
    new = Order(on=bool(order.get("on", True)), **numbers)
    return {name: new if vendor in (name, EVERY_VENDOR) else old for name, old in orders.items()}


def shown(orders: Mapping[str, Order]) -> dict[str, Any]:
    """Return the standing orders as JSON."""
    return {vendor: asdict(order) for vendor, order in orders.items()}


def _check(numbers: Mapping[str, Any]) -> None:
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers.values()):
        raise ValueError("every key but on and vendor is a number")
    shares = {name: value for name, value in numbers.items() if name not in _SECONDS}
    if not all(0 <= value <= 1 for value in shares.values()):
        raise ValueError(f"{', '.join(sorted(shares))} are shares between 0 and 1")
    if any(numbers.get(name, 0) < 0 for name in _SECONDS):
        raise ValueError(f"{', '.join(_SECONDS)} are at least 0")
    for kind, ends in SHARES.items():
        if sum(shares.get(end, 0) for end in ends) > 1 + 1e-9:
            raise ValueError(f"the shares of a {kind}'s ends are more than 1 together")
