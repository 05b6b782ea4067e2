"""What the events actor does: applies a bundle of stored events to their messages.

Owns nothing but the words for the log. A bundle that fails is due again when its claim has run out.
"""

from collections.abc import Sequence

from config import log
from outbox import events
from workers.runtime import Runtime

_log = log.get(__name__)


async def apply_events(runtime: Runtime, ids: Sequence[int]) -> None:
    """Apply events by their ids; those of a repeated bundle are applied already and change nothing."""
    done = await events.apply(runtime.pool, ids)
    for id_ in done.given_up:
        _log.warning("event_given_up", event_id=id_)
    _log.debug("events_applied", applied=done.applied, waiting=done.waiting)
