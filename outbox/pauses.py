"""Pauses and holds: who stopped what, why and until when; and how it goes on.

A pause is for ops: something is wrong, and it ends when somebody resumes or its time is over. A hold is for campaigns:
what is inserted waits until it is released. Refuses to touch messages: starts and claims ask the table, so that what is
held stays scheduled and nothing has to be put back.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from config.database import Pool, run
from outbox import storable
from outbox.queries import load
from outbox.scopes import Scope

_SQL = load("pauses")


class Kind(StrEnum):
    """Why a scope stands still, in the words of `fleet.pauses.kind`."""

    PAUSE = "pause"
    HOLD = "hold"


ENDED_BY = {Kind.PAUSE: "resume", Kind.HOLD: "release"}
"""What ends each kind; the audit log calls it so as well."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says about a scope."""

    kind: Kind
    scope: Scope
    actor: str
    reason: str

    def parameters(self) -> dict[str, object]:
        """Return it as the statements take it."""
        return {
            "scope_key": self.scope.key,
            "kind": self.kind.value,
            "workspace_id": self.scope.workspace_id,
            "actor": self.actor,
            "reason": storable.text(self.reason),
        }


async def pause(pool: Pool, said: Said, until: datetime | None = None) -> None:
    """Stop a scope: nothing of it starts any more, and workers withhold what has started and not left.

    It ends by itself at `until`; None: when somebody ends it. Several may stand on one scope.
    """
    await run(pool, _SQL["pause"], **said.parameters(), until=until)


async def resume(pool: Pool, said: Said) -> int:
    """End every pause (or hold, as `said.kind` names) of exactly this scope; return how many stood."""
    rows = await run(pool, _SQL["resume"], **said.parameters(), action=ENDED_BY[said.kind])
    return int(rows[0][0])


async def standing(pool: Pool) -> frozenset[str]:
    """Return the keys of the scopes of which nothing may leave now, whoever said so."""
    return frozenset(row[0] for row in await run(pool, _SQL["standing"]))
