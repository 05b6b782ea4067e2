"""Which breakers are open, asked of Redis by whoever answers a person: the command line and the API.

Refuses to fail with Redis: an answer without it is still one, and says so.
"""

import redis

from admission.open_breakers import OpenBreaker, open_breakers
from config.broker import client


def breakers_at(redis_url: str) -> list[OpenBreaker] | None:
    """Return the open breakers, oldest first; None while Redis is away."""
    try:
        with client(redis_url) as opened:
            return open_breakers(opened)
    except redis.RedisError:
        return None
