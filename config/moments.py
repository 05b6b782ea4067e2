"""How moments are read that Python has no word for: PostgreSQL knows infinity and the year 20000, Python neither.

Owns the reading. A message that waits for ever must not keep a person from the list in which it stands; whoever needs
the moment itself compares it in SQL.
"""

from datetime import UTC, datetime

from psycopg import DataError, adapters
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class _BoundedLoader(TimestamptzLoader):
    """Reads what lies beyond the first and the last moment as that moment."""

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except DataError:
            text = bytes(data)
            return EARLIEST if text.startswith(b"-") or text.endswith(b"BC") else LATEST


def register() -> None:
    """Read every `timestamptz` of this process so."""
    adapters.register_loader("timestamptz", _BoundedLoader)
