"""Which servers a process uses: those that the environment names, the embedded ones for what it does not name.

Owns that choice only. Refuses to start servers by accident: without `start`, a missing DATABASE_URL ends in
`config.embedded.NotRunning`, because a typo in production must not make an empty database that looks healthy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers answer. They may contain passwords and are not shown by `repr`."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


@contextmanager
def resolve(settings: Settings, start: bool) -> Iterator[Addresses]:
    """Give the addresses of both servers, and keep embedded ones in use until the end of the block.

    With `start`, embedded servers that do not run are started, else they must run. Raises
    `config.embedded.EmbeddedError`; with both addresses configured, nothing embedded is touched, or even imported.
    """
    database_url, redis_url = _plain(settings.database_url), _plain(settings.redis_url)
    if database_url and redis_url:
        yield Addresses(database_url, redis_url)
        return
    from config import embedded

    use = embedded.running if start else embedded.join
    with use(settings.home, postgres=not database_url, valkey=not redis_url) as servers:
        yield Addresses(database_url or servers.database_url, redis_url or servers.redis_url)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
