"""What bears the name of one of the platform's tables: an ordinary table that may be changed, or something else."""

from typing import NamedTuple

from outbox.migrate import expected
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")
_KINDS = {"p": "a partitioned table", "v": "a view", "m": "a materialized view", "f": "a foreign table"}
# A row may not move between partitions while it is sent, and an index of a partitioned table cannot be built
# CONCURRENTLY.
_NEEDED = "the fleet needs an ordinary table of this name; keep the other one under another name"


def find(database: Database, *, migrating: bool) -> list[Finding]:
    """Return what cannot be worked on. `migrating`: also what whoever asks may not change."""
    rows = database.execute(_SQL["relations"], {"tables": list(expected.COLUMNS)}).fetchall()
    relations = [_Relation(*row) for row in rows]
    found = [_unsuitable(one) or (_unchangeable(one) if migrating else None) for one in relations]
    return [*(finding for finding in found if finding), *_unprotected(relations)]


class _Relation(NamedTuple):
    name: str
    kind: str
    owner: str
    is_ours: bool
    hides_rows: bool
    is_protected: bool
    has_children: bool


def _unsuitable(relation: _Relation) -> Finding | None:
    if relation.kind != "r":
        return Finding("blocks", relation.name, f"is {_KINDS.get(relation.kind, 'no table')}", _NEEDED)
    if relation.has_children and relation.name in expected.QUEUES:
        return Finding("blocks", relation.name, "has tables that inherit from it", "end their inheritance")
    return None


def _unchangeable(relation: _Relation) -> Finding | None:
    if not relation.is_ours:
        problem = f"belongs to {relation.owner}, and only its owner may change it"
        return Finding("blocks", relation.name, problem, f"migrate as {relation.owner}, or as a member of that role")
    if relation.hides_rows:
        show = f"ALTER TABLE public.{relation.name} NO FORCE ROW LEVEL SECURITY"
        problem = "forces row level security on its owner, from whom a migration would hide rows"
        return Finding("blocks", relation.name, problem, "or migrate as a role with BYPASSRLS", (show,))
    return None


def _unprotected(relations: list[_Relation]) -> list[Finding]:
    names = [relation.name for relation in relations if relation.kind == "r" and not relation.is_protected]
    if not names:
        return []
    problem = f"is off on {', '.join(names)}"
    resolution = "migrate turns it on: roles other than the owner then see what the policies admit"
    return [Finding("note", "row level security", problem, resolution)]
