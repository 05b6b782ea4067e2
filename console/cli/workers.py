"""`fleet workers`: the sending processes that are at work, and how one of them is sent home."""

from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import click

from console.cli.ledger import actor, with_ledger
from console.cli.speech import Exit, FleetGroup, fail, json_wanted, print_json, print_table, say
from outbox import presence

_COLUMNS = ("id", "host", "pid", "queues", "in flight", "version", "up", "")


@click.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_(as_json: bool) -> None:
    """List the sending processes.

    Those that have announced themselves in the last seconds.
    """
    found = with_ledger(presence.present)
    if json_wanted(as_json):
        print_json({"workers": [asdict(one) for one in found]})
    elif found:
        print_table(_COLUMNS, [_row(one) for one in found])
    if not found:
        fail("no worker is at work: python -m workers email sms", Exit.NOTHING)


@click.command()
@click.argument("id_", metavar="ID", type=click.UUID)
def drain(id_: UUID) -> None:
    """Have one process finish and end.

    It takes nothing new. It reads this when it next announces itself, within five seconds. Whatever keeps processes
    running may start another in its place: take that one down there.
    """
    if not with_ledger(lambda pool: presence.retire(pool, id_, actor=actor())):
        fail(f"no worker {id_} is at work: fleet workers list", Exit.NOTHING)
    say(f"worker {id_} drains and ends")


workers = FleetGroup("workers", help="See who sends, and send one of them home.", commands=[list_, drain])


def _row(one: presence.Present) -> tuple[object, ...]:
    up = str(datetime.now(UTC) - one.started_at).split(".")[0]
    queues = " ".join(one.queues)
    return one.id, one.host, one.pid, queues, one.in_flight, one.version, up, "draining" if one.retiring else ""
