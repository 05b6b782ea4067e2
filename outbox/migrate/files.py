"""The migration files: where they are, in which order they run, and whether one changed since it ran.

Two folders, one order by timestamp: `platform/` is the owner's schema, `fleet/` what we add to it.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from outbox.migrate import statements

# In a checkout beside the packages, in an installed wheel inside this one.
_FOLDERS = (Path(__file__).resolve().parents[2] / "migrations", Path(__file__).resolve().parents[1] / "migrations")

_CONCURRENTLY = re.compile(r"\bINDEX\s+CONCURRENTLY\s+IF\s+NOT\s+EXISTS\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, forward only."""

    name: str
    """`platform/20260101000000_tables`: folder and file name, without the ending."""
    statements: tuple[str, ...]
    checksum: str
    """sha256 of the text, hexadecimal."""


def load() -> list[Migration]:
    """Return all migrations in the order in which they run."""
    folder = next(folder for folder in _FOLDERS if folder.is_dir())
    paths = sorted(folder.glob("*/*.sql"), key=lambda path: path.name)
    return [_read(path) for path in paths]


def index_built_by(statement: str) -> str | None:
    """Return the name of the index that `statement` builds CONCURRENTLY; None for any other statement."""
    found = _CONCURRENTLY.search(statement)
    return found.group(1) if found else None


def _read(path: Path) -> Migration:
    text = path.read_text(encoding="utf-8")
    return Migration(
        name=f"{path.parent.name}/{path.stem}",
        statements=tuple(statements.split(text)),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
    )
