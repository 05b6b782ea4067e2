"""What a look at a database may find, and the words for it."""

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

Database = Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between a database and what the fleet expects of it."""

    kind: Literal["blocks", "resolved", "note"]
    """`blocks`: a person must resolve it before anything is changed; `resolved`: `migrate` does; `note`: worth
    knowing."""
    subject: str
    """`table.column`, or the object's name."""
    problem: str
    resolution: str
    """What to do, or what `migrate` does, in words."""
    statements: tuple[str, ...] = ()
    """The same in SQL, each run by itself: by `migrate`, or by a person, who may know a better way."""
