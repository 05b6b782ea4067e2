"""Why a message has not gone out, with everything that the answer needs read for it: for the command line and the API.

Refuses to judge: `admission.why` does.
"""

from uuid import UUID

from admission.why import Why, World, why
from config.database import Pool
from config.settings import load
from console.breakers import breakers_at
from outbox.unknowns import Patience


async def explained(pool: Pool, redis_url: str, id_: UUID) -> Why | None:
    """Explain one message; None where there is none."""
    settings = load()
    patience = Patience(settings.reconcile_grace_seconds, settings.reconcile_horizon_seconds)
    return await why(pool, id_, World(patience, breakers_at(redis_url)))
