"""What works on the two queues beside the fleet, and is set off by each transition of a message."""

from outbox.migrate import expected
from outbox.migrate.columns import Columns
from outbox.migrate.finding import Database, Finding
from outbox.queries import load

_SQL = load("inspect")


def find(database: Database, columns: Columns) -> list[Finding]:
    """Return what is worth knowing, and policies that would blind the fleet."""
    return [
        *(_trigger(*row) for row in database.execute(_SQL["triggers"], {}).fetchall()),
        *(_published(*row) for row in database.execute(_SQL["published"]).fetchall()),
        *_policies(database),
        *_checks(database, columns),
    ]


def _trigger(table: str, name: str, as_definer: bool) -> Finding:
    problem = "a trigger of the platform runs on every transition"
    advice = "make sure that it is cheap and sends nothing"
    if not as_definer:
        problem += ", with the rights of role fleet"
        advice += "; where it touches other tables, make its function SECURITY DEFINER"
    return Finding("note", f"{table}: {name}", problem, advice)


def _published(table: str, publication: str | None) -> Finding:
    if publication is None:
        problem = "REPLICA IDENTITY FULL doubles what each transition writes"
        return Finding("note", table, problem, "use the index of the primary key")
    problem = "each transition is published"
    return Finding("note", f"{table}: {publication}", problem, "publish only the columns or rows that are needed")


def _policies(database: Database) -> list[Finding]:
    rows = database.execute(_SQL["restrictive_policies"], {"tables": list(expected.READ)}).fetchall()
    return [_restricting(*row) for row in rows]


def _restricting(table: str, policy: str) -> Finding:
    problem = "a restrictive policy for everybody would hide rows from the fleet as well"
    limit = f"ALTER POLICY {policy} ON public.{table} TO anon, authenticated"
    return Finding("blocks", f"{table}: {policy}", problem, "name the roles that it is meant for", (limit,))


def _checks(database: Database, columns: Columns) -> list[Finding]:
    """A CHECK on a column that the fleet writes, other than those on its words, which are judged in `words`."""
    written = [(table, name) for table, names in expected.WRITTEN.items() for name in names if (table, name) in columns]
    found = {}
    for table, name in written:
        for constraint, _, _, seen, _ in database.execute(_SQL["checks"], {"table": table, "column": name}).fetchall():
            if len(seen) > 1 or (table, name) not in expected.VOCABULARIES:
                found[f"{table}: {constraint}"] = f"a CHECK looks at {', '.join(seen)}"
    advice = "make sure that it admits what the fleet writes"
    return [Finding("note", subject, problem, advice) for subject, problem in found.items()]
