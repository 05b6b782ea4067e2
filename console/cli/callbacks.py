"""`fleet webhooks list` and `replay`: what vendors called back, what of it is not applied, and applying it again."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from config.catalog import CATALOG
from config.database import Pool
from config.log import mask
from console.cli.ledger import actor, with_ledger
from console.cli.moment import Moment
from console.cli.speech import Exit, confirmed, fail, json_wanted, print_json, print_table, say
from outbox import received
from outbox.events import OURS
from outbox.received import Choice, Received

PROVIDERS = (*CATALOG, OURS)
"""Whose events there are: of the vendors, also where the generic door told them, and of our own unsubscribe page."""
LATELY = timedelta(days=1)


@click.command("list")
@click.option("--unapplied", is_flag=True, help="Each that waits or was given up, those given up first.")
@click.option("--provider", type=click.Choice(PROVIDERS))
@click.option(
    "--since", type=Moment(), help="Received at or after: 2h, 7d or a date. [default: 24h; --unapplied: ever]"
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="With --unapplied.")
@click.option("--json", "as_json", is_flag=True)
def list_(unapplied: bool, provider: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """Show what came in, by provider and kind; addresses are masked."""
    if unapplied:
        _list_unapplied(provider, since, limit, as_json)
        return
    found, has_more = with_ledger(lambda pool: _counted(pool, since or datetime.now(UTC) - LATELY, provider))
    if json_wanted(as_json):
        print_json({"received": [asdict(one) for one in found], "has_more": has_more})
    elif found:
        columns = ("provider", "kind", "received", "applied", "waiting", "given_up", "last_at")
        print_table(columns, [[getattr(one, column) for column in columns] for one in found])
    if has_more:
        say(f"only the last {received.LATEST} were counted, of all providers")
    if not found:
        fail("nothing came in that matches", Exit.NOTHING)


async def _counted(pool: Pool, since: datetime, provider: str | None) -> tuple[list[Received], bool]:
    found = await received.counts(pool, since=since, provider=provider)
    return found, await received.has_more(pool, since=since)


def _list_unapplied(provider: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    found = with_ledger(lambda pool: received.unapplied(pool, since=since, provider=provider, limit=limit))
    rows = [{**asdict(one), "address": mask(one.address) if one.address else None} for one in found]
    if json_wanted(as_json):
        print_json({"unapplied": rows, "has_more": len(found) == limit})
    elif found:
        columns = ("id", "provider", "kind", "provider_message_id", "address", "received_at", "tries", "next_try_at")
        print_table(columns, [[row[column] or _absent(column) for column in columns] for row in rows])
    if not found:
        fail("nothing unapplied matches", Exit.NOTHING)


@click.command()
@click.argument("ids", nargs=-1, type=click.IntRange(1, 2**63 - 1))
@click.option("--given-up", is_flag=True, help="Those that were given up.")
@click.option("--provider", type=click.Choice(PROVIDERS))
@click.option("--since", type=Moment(), help="Received at or after: 2h, 7d or a date.")
@click.option("--applied", is_flag=True, help="Also those that are applied; it comes to the same as the first time.")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True)
def replay(
    *, ids: tuple[int, ...], given_up: bool, provider: str | None, since: datetime | None, applied: bool, dry_run: bool,
    yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Apply events again that are not applied: by id, --given-up, --provider or --since."""
    if not (ids or given_up or provider or since):
        fail("say which events: ids, --given-up, --provider or --since", Exit.USAGE)
    choice = Choice(list(ids) or None, provider, since, given_up, applied)
    matched = with_ledger(lambda pool: _all(pool, choice))
    if matched and not dry_run:
        confirmed(f"{len(matched)} events are to be applied again. Go on?", yes)
    done = 0 if dry_run or not matched else with_ledger(lambda pool: _replayed(pool, matched, applied=applied))
    if json_wanted(as_json):
        print_json({"matched": len(matched), "replayed": done, "dry_run": dry_run})
    else:
        say(f"{len(matched)} match" if dry_run else f"{done} of {len(matched)} are due again")
    if not matched:
        fail("no such event is to be applied", Exit.NOTHING)


async def _all(pool: Pool, choice: Choice) -> list[int]:
    return [id_ async for chunk in received.chunks(pool, choice) for id_ in chunk]


async def _replayed(pool: Pool, ids: list[int], *, applied: bool) -> int:
    pieces = [ids[start : start + received.CHUNK] for start in range(0, len(ids), received.CHUNK)]
    return sum([len(await received.replay(pool, piece, applied=applied, actor=actor())) for piece in pieces])


def _absent(column: str) -> object:
    return "given up" if column == "next_try_at" else 0 if column == "tries" else None
