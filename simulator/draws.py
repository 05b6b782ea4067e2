"""Chance that does not depend on the order of things: the same send meets the same fate in every run with a seed.

Requests reach the simulator in an order that no seed decides, so a row of random numbers would not repeat itself; a
draw here is a keyed hash of what it is about. Refuses to know what is drawn for.
"""

import os
from hashlib import blake2b

_SPAN = 2.0**64


class Draws:
    """One source of chance for everything about callbacks and ends."""

    def __init__(self, seed: int | None) -> None:
        self._key = os.urandom(16) if seed is None else seed.to_bytes(16, "big", signed=True)

    def of(self, purpose: str, about: bytes) -> float:
        """Return a number from 0 to below 1: always the same for one purpose and one thing that it is about."""
        drawn = blake2b(purpose.encode() + b"\0" + about, digest_size=8, key=self._key).digest()
        return int.from_bytes(drawn, "big") / _SPAN

    def hits(self, share: float, purpose: str, about: bytes) -> bool:
        """Tell whether this one belongs to a share between 0 and 1."""
        return share > 0 and self.of(purpose, about) < share
