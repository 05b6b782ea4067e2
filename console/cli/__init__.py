"""The command `fleet`: for ops and support at a terminal, and for scripts.

Owns how commands speak: data on stdout, talk on stderr, one clear sentence for what went wrong, and the exit codes
0 ok, 1 failed, 2 usage or configuration, 3 unhealthy, 4 nothing matched, 5 partly failed, 130 interrupted.
"""

from console.cli import (
    campaigns,
    database,
    demo,
    messages,
    pauses,
    replies,
    status,
    suppressions,
    up,
    webhooks,
    workers,
)
from console.cli.speech import FleetGroup

main = FleetGroup(
    "fleet",
    help="Delivers promised messages: run it, watch it, correct it.",
    commands=[
        *up.COMMANDS,
        demo.demo,
        status.status,
        *pauses.COMMANDS,
        campaigns.campaigns,
        workers.workers,
        messages.messages,
        replies.replies,
        suppressions.suppressions,
        webhooks.webhooks,
        database.database,
    ],
)
