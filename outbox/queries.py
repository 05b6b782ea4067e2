"""Loads the statements of `outbox/sql/*.sql`, and of other packages' sql folders, by name.

A file holds blocks that begin with `-- name: some_name`; the comment lines under it say what no rows means. An
unknown or doubled name fails when the module that wants it is imported, not when a message needs it.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file: str, package: str = "outbox") -> Mapping[str, bytes]:
    """Return the statements of `<package>/sql/<file>.sql` by name.

    They are bytes because psycopg takes text only where the type checker has seen the literal; these are ours as well.
    """
    text = files(package).joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    names = _NAME.findall(text)
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/sql/{file}.sql: a name stands twice")
    bodies = _NAME.split(text)[2::2]
    return {name: body.strip().encode() for name, body in zip(names, bodies, strict=True)}


def uuids(ids: Iterable[object]) -> str:
    """Write ids as an array for a parameter that the statement casts to uuid[]: psycopg's own lists cost several times
    as much, and each bundle has a hundred.
    """
    return "{" + ",".join(map(str, ids)) + "}"
