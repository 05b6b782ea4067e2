"""Where the servers of one FLEET_HOME keep their files, and at which addresses they answer.

    FLEET_HOME/
    ├── postgres/  valkey/        the servers' working directories: what a process is recognised by
    ├── sockets/                  their sockets; nobody but the servers' account and root can connect
    ├── postgresql.log valkey.log what they said since they were last started
    ├── keeper.log  *.lock        see `keeper` and `locks`
    └── elsewhere.json            only where some of this lies elsewhere, see `elsewhere`

Owns the paths. Refuses to start anything.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config.embedded import elsewhere
from config.embedded.account import Account, choose
from config.embedded.errors import EmbeddedError
from config.embedded.owned import make_folder, require_own


@dataclass(frozen=True, slots=True)
class Place:
    """The files and addresses of one FLEET_HOME; all paths are absolute and resolved."""

    home: Path
    base: Path
    """FLEET_HOME, or the folder elsewhere if that holds the data."""
    sockets: Path

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory."""
        return (self.base / "postgres").resolve()

    @property
    def valkey(self) -> Path:
        """The working directory of Valkey, which keeps nothing in it."""
        return (self.base / "valkey").resolve()

    @property
    def redis_socket(self) -> Path:
        """Where Valkey listens."""
        return self.sockets / "valkey.sock"

    @property
    def redis_url(self) -> str:
        """The address for a Redis client: unix:///..."""
        return f"unix://{quote(str(self.redis_socket))}"

    def database_url(self, database: str) -> str:
        """Return the address of a database for the superuser; the port is named so that PGPORT does not replace it."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets))}&port=5432"


def resolve(home: Path) -> Path:
    """Return the one path of FLEET_HOME that all processes use. Raises NotYours where it is another user's."""
    home = home.resolve()
    require_own(home)
    return home


def find(home: Path) -> Place:
    """Return the place of `home` as it was decided, changing nothing; the same where nothing has been made yet."""
    noted = elsewhere.read(home)
    base = noted.folder if noted and noted.holds_data else home
    around_sockets = noted.folder if noted and not elsewhere.fits_sockets(base) else base
    return Place(home, base, around_sockets / "sockets")


def prepare(home: Path) -> tuple[Place, Account]:
    """Decide the place and the account of `home` and make the folders. The caller holds the start lock.

    Raises EmbeddedError where data exist that the account cannot get to.
    """
    found = find(home)
    account = choose(found.postgres, found.valkey, home)
    holds_data = _belongs_elsewhere(found, account)
    if holds_data or not elsewhere.fits_sockets(home):
        elsewhere.ensure(home, account, holds_data=holds_data)
    place = find(home)
    for folder in (place.valkey, place.sockets):
        make_folder(folder, account)
    return place, account


def _belongs_elsewhere(place: Place, account: Account) -> bool:
    if place.base != place.home:
        return True
    if account.is_current or (place.home.stat().st_uid in (0, account.user_id) and account.reaches(place.home)):
        return False
    if place.postgres.exists():
        raise EmbeddedError(
            f"the account {account.name} cannot get to the data in {place.home}: "
            "let it pass through the folders above (chmod o+x), or move FLEET_HOME"
        )
    return True
