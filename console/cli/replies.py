"""`fleet replies`: what people answered, for support to read. It only reads."""

from dataclasses import asdict
from uuid import UUID

import click

from console.cli.ledger import with_ledger
from console.cli.speech import Exit, FleetGroup, fail, json_wanted, masked, print_json, print_table
from outbox import replies as ledger


@click.command("list")
@click.option("--workspace", "workspace_id", type=click.UUID)
@click.option("--message", "message_id", type=click.UUID, help="Answers to this message.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True)
@click.option("--unmasked", is_flag=True, help="Show whole addresses.")
def list_(workspace_id: UUID | None, message_id: UUID | None, limit: int, as_json: bool, unmasked: bool) -> None:
    """List replies, the latest first, with what was written."""
    found = with_ledger(lambda pool: ledger.find(pool, workspace_id=workspace_id, message_id=message_id, limit=limit))
    rows = [asdict(one) if unmasked else masked(asdict(one)) for one in found]
    if json_wanted(as_json):
        print_json({"replies": rows, "has_more": len(found) == limit})
    elif found:
        columns = ("received_at", "channel", "address", "text", "message_id", "lead_id")
        print_table(columns, [[row[column] for column in columns] for row in rows])
    if not found:
        fail("no reply matches", Exit.NOTHING)


replies = FleetGroup("replies", help="Read what people answered.", commands=[list_])
