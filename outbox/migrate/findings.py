"""Compares a live database with what the fleet expects, before anything is changed.

Owns the order of the answer and the transaction in which it is found: it is read only, and names nothing by a search
path, so that no object that somebody else made is called. Each kind of difference has its module.
"""

from outbox.migrate import backlog, columns, indexes, relations, rights, surroundings, words
from outbox.migrate.finding import Database, Finding

_ORDER = ("blocks", "resolved", "note")


def find(database: Database, *, migrating: bool = True) -> list[Finding]:
    """Return every difference that matters, those that block first. `migrating`: also what whoever asks may not do."""
    with database.transaction():
        database.execute("SET TRANSACTION READ ONLY")
        database.execute("SET LOCAL search_path = ''")
        database.execute("SET LOCAL statement_timeout = 0")
        present = columns.read(database)
        found = [
            *(rights.find(database) if migrating else []),
            *relations.find(database, migrating=migrating),
            *columns.find(present),
            *words.find(database, present),
            *backlog.find(database, present),
            *indexes.find(database, present),
            *surroundings.find(database, present),
        ]
    return sorted(found, key=lambda finding: (_ORDER.index(finding.kind), finding.subject))
