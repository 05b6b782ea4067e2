"""What whoever migrates must be allowed to do, asked before the first change."""

from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")


def find(database: Database) -> list[Finding]:
    """Return what keeps the connected role from migrating, with the statements that an administrator may run."""
    rows = database.execute(_SQL["rights"], {}).fetchall()
    found = [
        Finding("blocks", subject, problem, resolution, tuple(statements))
        for subject, problem, resolution, statements in rows
    ]
    strangers = [name for (name,) in database.execute(_SQL["strange_schema"]).fetchall()]
    if strangers:
        problem = f"is somebody else's: it holds {', '.join(strangers)} and none of our migrations ran here"
        rename = "ALTER SCHEMA fleet RENAME TO fleet_of_platform"
        found.append(Finding("blocks", "schema fleet", problem, "the fleet needs the name", (rename,)))
    return found
