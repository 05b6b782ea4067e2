"""The gate of a sending process: bundles come in until it drains, and a drain knows when the last has come out.

Owns no request: what a bundle has launched is counted by `workers.flight`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

RETIRED = 3
"""What a sending process ends with where a person has asked it to drain and end: its parent starts no other."""


class Gate:
    """Lives on one event loop."""

    def __init__(self) -> None:
        self.closed = False
        """From here nothing may be started: what still comes in is given back."""
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count one bundle for the length of the block."""
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def close(self) -> None:
        """Let nothing start any more, and wait until every bundle has come out."""
        self.closed = True
        await self._empty.wait()
