"""What the vendors accepted: one record for each mail, message and call, in the order of acceptance.

This is the proof of "never twice, never lost" from the vendors' side. Refuses to keep content beyond what a vendor
answers when it is asked for one send; everything else of it is a digest.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional

import orjson


class Accepted(NamedTuple):
    """One accepted send."""

    vendor: str
    kind: str
    """`email`, `message` or `call`."""
    account: str
    id: str
    recipient: str
    """As it was given; several recipients of one mail are joined with commas."""
    content_sha256: bytes
    marks_json: str
    """What the sender attached to find it again: tags, headers, metadata, name, the callback's `attempt`."""
    resource_json: str
    """What the vendor's module needs to answer for it."""
    idempotency_key: str | None = None
    hidden_seconds: float = 0.0
    """From its acceptance until lists show it; a fault orders it."""
    redacted: bool = False
    """Its vendor shows it without its text, because a fault orders it."""
    at_seconds: float = 0.0
    """On the simulator's own clock; set on acceptance, like the two below."""
    position: int = 0
    """Its place on its shelf, the oldest has 0."""
    previous: Optional["Accepted"] = None
    """The last one before it on its shelf that went to the same recipient."""

    @property
    def marks(self) -> dict[str, Any]:
        """What the sender attached, as it reads in JSON."""
        marks: dict[str, Any] = orjson.loads(self.marks_json)
        return marks

    @property
    def resource(self) -> dict[str, Any]:
        """The fields of the send that its vendor answers with."""
        resource: dict[str, Any] = orjson.loads(self.resource_json)
        return resource


class Shelf:
    """The sends of one kind at one account of one vendor, oldest first."""

    __slots__ = ("_latest", "sends")

    def __init__(self) -> None:
        self.sends: list[Accepted] = []
        self._latest: dict[str, Accepted] = {}

    def put(self, send: Accepted, at_seconds: float) -> Accepted:
        """Add one at the end and return it with its time and place."""
        accepted = send._replace(
            at_seconds=at_seconds, position=len(self.sends), previous=self._latest.get(send.recipient)
        )
        self.sends.append(accepted)
        self._latest[accepted.recipient] = accepted
        return accepted

    def newest_first(self, recipient: str | None = None, before: Accepted | None = None) -> Iterator[Accepted]:
        """Walk back in time: of one recipient or of all, from the newest or from just before the given one.

        With a recipient, the given one must be one of theirs.
        """
        if recipient is not None:
            one = self._latest.get(recipient) if before is None else before.previous
            while one is not None:
                yield one
                one = one.previous
            return
        end = len(self.sends) if before is None else before.position
        for position in range(end - 1, -1, -1):
            yield self.sends[position]


class Ledger:
    """Everything accepted since the start or the last reset."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Accepted] = {}
        self._shelves: dict[tuple[str, str, str], Shelf] = defaultdict(Shelf)
        self._seen: dict[str, set[int]] = defaultdict(set)
        self.all: list[Accepted] = []
        self.accepted: dict[str, int] = defaultdict(int)

    def accept(self, send: Accepted) -> Accepted:
        """Record one send from now on, count it, and return it with its time and place."""
        accepted = self._shelves[send.vendor, send.kind, send.account].put(send, self._clock())
        self._by_id[accepted.id] = accepted
        self.all.append(accepted)
        self.accepted[accepted.vendor] += 1
        # The hash has 64 bits: a false duplicate is not to be expected below a billion sends.
        self._seen[accepted.vendor].add(hash((accepted.recipient, accepted.content_sha256)))
        return accepted

    def distinct(self, vendor: str) -> int:
        """Count the different pairs of recipient and content."""
        return len(self._seen[vendor])

    def find(self, kind: str, account: str, id: str) -> Accepted | None:  # noqa: A002 - the vendors' word
        """Return one send of this account; another account's is not found."""
        accepted = self._by_id.get(id)
        return accepted if accepted is not None and (accepted.kind, accepted.account) == (kind, account) else None

    def shelf(self, vendor: str, kind: str, account: str) -> Shelf:
        """Return the sends of one kind at one account, an empty shelf where there are none."""
        return self._shelves.get((vendor, kind, account)) or Shelf()
