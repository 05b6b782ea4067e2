"""Which breakers are open, for people: read from Redis, where they are.

Refuses to change anything: a breaker closes when a message gets through, or with its record.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from admission.breaker import INDEX


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """An account whose vendor does not work; the nil tenant is the environment's."""

    provider: str
    tenant_id: str
    since: datetime
    until: datetime
    """Then one message tries."""
    error: str


def open_breakers(client: redis.Redis) -> list[OpenBreaker]:
    """Return the open breakers, oldest first. Raises redis.RedisError."""
    members: Any = client.smembers(INDEX)
    keys = [key.decode() for key in members]
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.hmget(key, "tenant", "since", "until", "error")
    found = [
        OpenBreaker(key.split(":")[2], tenant.decode(), _moment(since), _moment(until), (error or b"").decode())
        for key, (tenant, since, until, error) in zip(keys, pipe.execute(), strict=True)
        if tenant and since and until  # the record of an account that nobody uses any more is gone before its name
    ]
    return sorted(found, key=lambda one: one.since)


def _moment(unix_seconds: bytes) -> datetime:
    return datetime.fromtimestamp(int(float(unix_seconds)), UTC)
