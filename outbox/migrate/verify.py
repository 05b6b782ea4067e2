"""Is a migrated database still as the migrations left it? Changes nothing."""

import re
from collections.abc import Iterator

from outbox.migrate import files
from outbox.migrate.finding import Database
from outbox.migrate.runner import plan
from outbox.queries import load

_SQL = load("verify")
_MAKES = re.compile(
    r"CREATE (?:OR REPLACE |UNLOGGED |UNIQUE )*(TABLE|INDEX|FUNCTION|TRIGGER)"
    r"(?: CONCURRENTLY)?(?: IF NOT EXISTS)? ([\w.]+)"
)


def problems(database: Database) -> list[str]:
    """Return what keeps the fleet from working on this database, one sentence each; empty when all is well.

    Raises runner.Changed.
    """
    planned = plan(database)
    found = [f"{name} has not run: fleet db migrate" for name in planned.pending]
    found += [f"{finding.subject} {finding.problem}" for finding in planned.findings if finding.kind != "note"]
    found += [f"{subject}: {detail}" for subject, detail in database.execute(_SQL["broken"]).fetchall()]
    return found if planned.pending else found + _missing(database)


def _missing(database: Database) -> list[str]:
    made = list(_made())
    parameters = {"names": [name for _, name in made], "kinds": [kind for kind, _ in made]}
    missing = database.execute(_SQL["missing"], parameters).fetchall()
    return [f"{name} is gone: restore it from its migration" for (name,) in missing]


def _made() -> Iterator[tuple[str, str]]:
    """Read off the fleet's files what they make: (kind, name)."""
    for migration in files.load():
        if migration.name.startswith("fleet/"):
            for statement in migration.statements:
                yield from _MAKES.findall(statement)
