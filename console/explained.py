"""Why a message has not gone out, with everything that the answer needs read for it: for the command line and the API.

Refuses to judge (`admission.why` does). Without Redis nothing is known of vendors that do not work.
"""

from uuid import UUID

import redis

from admission.open_breakers import OpenBreaker, open_breakers
from admission.why import Why, World, why
from config.broker import client
from config.database import Pool
from config.settings import load
from outbox.unknowns import Patience


async def explained(pool: Pool, redis_url: str, id_: UUID) -> Why | None:
    """Explain one message; None where there is none."""
    settings = load()
    patience = Patience(settings.reconcile_grace_seconds, settings.reconcile_horizon_seconds)
    return await why(pool, id_, World(patience, _breakers(redis_url)))


def _breakers(redis_url: str) -> list[OpenBreaker]:
    try:
        with client(redis_url) as opened:
            return open_breakers(opened)
    except redis.RedisError:
        return []
