"""A lease, as the process that holds it may believe in it.

Refuses the wall clock and the database's: the deadline is counted from before the statement that took the lease, so
that whatever the two clocks do, this side thinks it lost the lease first.
"""

from copy import copy
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from config.clock import Clock, boottime


@dataclass(slots=True)
class Lease:
    """Held on batches in flight. Make it before the transaction that takes or renews it begins."""

    seconds: float
    margin_seconds: float
    token: UUID = field(default_factory=uuid4)
    clock: Clock = boottime
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = self.clock() + self.seconds - self.margin_seconds

    def of_batch(self) -> "Lease":
        """Return the same lease for one more batch: each is renewed, or lost, by itself."""
        return copy(self)

    def renewed(self, began: float) -> None:
        """Count the deadline anew after a renewal whose statement was sent at `began` on this lease's clock."""
        self.deadline = max(self.deadline, began + self.seconds - self.margin_seconds)

    def allows_request(self) -> bool:
        """Tell whether a request may still begin: its answer, too, must come before the lease is over."""
        return self.deadline - self.clock() > self.seconds / 4
