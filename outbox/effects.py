"""What applied events mean beyond their message: who must not be contacted any more and who may again, what people
answered and which sequences that ends, and what became of calls.

Owns the list of effects and their figures. Each runs in the transaction that applied its events, so that an event and
what it means are never apart; each comes to the same when its events are applied again, or in another order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from config.database import Connection
from config.vocabulary import KINDS, Reason
from outbox import calls
from outbox.queries import load

SOFT_BOUNCES = 3
"""So many messages that an address did not take for the time being, within the window, and it is left alone."""
SOFT_WINDOW_DAYS = 14
SOFT_REST_DAYS = 30
"""From the last of them. Our own figures: vendors call a bounce soft that may pass within hours or weeks."""

PARAMETERS: Mapping[str, Any] = {
    "suppressing": orjson.dumps(
        [{"kind": kind, "reason": facts.suppresses} for kind, facts in KINDS.items() if facts.suppresses]
    ).decode(),
    "releasing": orjson.dumps(
        [{"kind": kind, "reason": reason} for kind, facts in KINDS.items() for reason in facts.releases]
    ).decode(),
    "reason": Reason.SOFT_BOUNCED,
    "most": SOFT_BOUNCES,
    "window_days": SOFT_WINDOW_DAYS,
    "rest_days": SOFT_REST_DAYS,
}

_REPLIES = load("replies")
EFFECTS = {"stop": _REPLIES["stop"], **load("effects"), "keep": _REPLIES["keep"]}
"""By name, in the order in which they lock: messages before anything else, as everywhere. What is suppressed and
released in one bundle ends as the later of the two says."""


async def take(connection: Connection, event_ids: Sequence[int]) -> None:
    """Let events take effect that this transaction has applied."""
    for statement in EFFECTS.values():
        await connection.execute(statement, {**PARAMETERS, "ids": list(event_ids)})
    await calls.record(connection, event_ids)
