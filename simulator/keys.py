"""Idempotency keys: what a vendor remembers of a key, and what a test wants to know of its use.

Follows Resend: a key lives 24 hours and belongs to one account; a request that was refused leaves it free. Whether
Resend compares bytes or meaning is not documented, so meaning decides here and the different bytes are counted.
Source: resend.com/docs/dashboard/emails/idempotency-keys
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

KEPT_SECONDS = 24 * 3600.0


class KeyTaken(Exception):
    """The key was used for another payload."""


class KeyRunning(Exception):
    """The first request with this key is not done."""


@dataclass(slots=True)
class Promise:
    """What stands under a key: a payload and, once it was accepted, the answer."""

    payload_sha256: bytes
    expires_at_seconds: float
    answer: str | None = None


@dataclass(slots=True)
class KeyUse:
    """The use of one key by one account since the last reset."""

    requests: int = 0
    body_digests: tuple[bytes, ...] = ()
    """SHA-256 of each different body, byte for byte."""
    accepted: int = 0
    """Mails accepted under the key; a replay adds none."""
    promise: Promise | None = field(default=None, repr=False)


class Keys:
    """All keys of all accounts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.uses: dict[str, dict[str, KeyUse]] = {}
        self.most_requests = 0

    def note(self, account: str, key: str, body: bytes) -> None:
        """Count a request that carries the key, whatever becomes of it."""
        use = self._use(account, key)
        use.requests += 1
        self.most_requests = max(self.most_requests, use.requests)
        sha256 = hashlib.sha256(body).digest()
        if sha256 not in use.body_digests:
            use.body_digests += (sha256,)

    @contextmanager
    def claim(self, account: str, key: str, payload_sha256: bytes) -> Iterator[Promise]:
        """Hold a key while its request runs; without an answer at the end the key is free again.

        The promise has an answer already where the same payload was accepted under this key before.
        Raises KeyTaken and KeyRunning.
        """
        use = self._use(account, key)
        promise = use.promise
        if promise is None or (promise.answer is not None and self._clock() >= promise.expires_at_seconds):
            promise = use.promise = Promise(payload_sha256, self._clock() + KEPT_SECONDS)
        elif promise.payload_sha256 != payload_sha256:
            raise KeyTaken
        elif promise.answer is None:
            raise KeyRunning
        try:
            yield promise
        finally:
            if promise.answer is None:
                use.promise = None

    def accepted(self, account: str, key: str, mails: int) -> None:
        """Count what was accepted under the key."""
        self._use(account, key).accepted += mails

    def _use(self, account: str, key: str) -> KeyUse:
        return self.uses.setdefault(account, {}).setdefault(key, KeyUse())
