"""`fleet suppressions`: see who must not be contacted and why, add by hand, release. Addresses are masked in lists."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click

from config.channels import CHANNELS, Channel
from config.database import Pool
from config.log import mask
from config.vocabulary import Reason
from console.cli.ledger import actor, with_ledger
from console.cli.speech import Exit, FleetGroup, confirmed, fail, json_wanted, print_json, print_table, say
from outbox import suppressions as ledger
from outbox.addresses import NotAnAddress
from outbox.suppressions import Filter, Found, Place

ADDRESSED = [channel.value for channel, facts in CHANNELS.items() if facts.address]
"""The channels on which there is an address to suppress."""
REASONS = [reason.value for reason in Reason]
_COLUMNS = ("workspace_id", "channel", "address", "reason", "holds", "source", "created_at", "expires_at")


def placed(command: Callable[..., None]) -> Callable[..., None]:
    """Add what a command takes that changes suppressions: addresses, where, why, and whether to ask."""
    options = (
        click.argument("addresses", nargs=-1, required=True),
        click.option("--workspace", "workspace_id", type=click.UUID, required=True),
        click.option("--channel", type=click.Choice(ADDRESSED), required=True),
        click.option("--why", required=True, help="For the audit log, and whoever asks later."),
        click.option("--dry-run", is_flag=True, help="Count, and change nothing."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--json", "as_json", is_flag=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("list")
@click.option("--workspace", "workspace_id", type=click.UUID)
@click.option("--channel", type=click.Choice(ADDRESSED))
@click.option("--to", "address", help="The recipient's email address or number.")
@click.option("--reason", type=click.Choice(REASONS))
@click.option("--ended", is_flag=True, help="Also those that were released or have expired.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--reveal", is_flag=True, help="Show whole addresses; the audit log has who did.")
@click.option("--json", "as_json", is_flag=True)
def list_(limit: int, reveal: bool, as_json: bool, **chosen: Any) -> None:
    """List suppressions, by workspace, channel and address."""
    wanted = _filter(**chosen)

    async def read(pool: Pool) -> list[Found]:
        found = await ledger.find(pool, wanted, limit=limit + 1)
        if reveal and found:
            await ledger.revealed(pool, wanted, len(found[:limit]), actor=actor())
        return found

    found = with_ledger(read)
    rows = [_shown(one, reveal) for one in found[:limit]]
    if json_wanted(as_json):
        print_json({"suppressions": rows, "has_more": len(found) > limit})
    elif found:
        print_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])
    if not found:
        fail("no suppression matches", Exit.NOTHING)


@click.command()
@placed
def add(addresses: tuple[str, ...], why: str, dry_run: bool, **given: Any) -> None:
    """Suppress addresses by hand: nothing more goes to them on that channel of that workspace."""
    place, asked = _agreed(addresses, "suppressed", dry_run=dry_run, **given)
    change = lambda pool: ledger.add(pool, place, asked, actor=actor(), why=why)  # noqa: E731
    added = 0 if dry_run else with_ledger(change)
    if json_wanted(given["as_json"]):
        print_json({"asked": len(asked), "added": added, "dry_run": dry_run})
    else:
        say(
            f"{len(asked)} would be suppressed"
            if dry_run
            else f"{added} of {len(asked)} added, the others were there already"
        )


@click.command()
@placed
@click.option("--reason", type=click.Choice(REASONS), help="Only this one; otherwise every reason ends.")
def release(addresses: tuple[str, ...], why: str, dry_run: bool, reason: str | None, **given: Any) -> None:
    """Let addresses be contacted again. You know that they want to be, or that they can be reached."""
    place, asked = _agreed(addresses, "released", dry_run=dry_run, **given)
    only = Reason(reason) if reason else None
    change = lambda pool: ledger.release(pool, place, asked, actor=actor(), why=why, reason=only)  # noqa: E731
    count = lambda pool: ledger.suppressed(pool, place, asked, reason=only)  # noqa: E731
    matched = len(with_ledger(count)) if dry_run else with_ledger(change)
    if json_wanted(given["as_json"]):
        print_json({"asked": len(asked), "matched": matched, "released": 0 if dry_run else matched, "dry_run": dry_run})
    else:
        say(f"{matched} match" if dry_run else f"{matched} of {len(asked)} released")
    if not matched:
        fail("none of them is suppressed there", Exit.NOTHING)
    if not dry_run and matched < len(asked):
        fail(f"{len(asked) - matched} were not suppressed there", Exit.PARTLY)


suppressions = FleetGroup(
    "suppressions", help="See and correct who must not be contacted.", commands=[list_, add, release]
)


def _agreed(
    addresses: tuple[str, ...], word: str, *, workspace_id: UUID, channel: str, dry_run: bool, yes: bool, as_json: bool
) -> tuple[Place, list[str]]:
    """Return where and which addresses, each once, when they can be read and the person agrees."""
    place = Place(workspace_id, Channel(channel))
    try:
        asked = sorted({ledger.written(place.channel, address).lower() for address in addresses})
    except NotAnAddress as mistake:
        fail(str(mistake), Exit.USAGE)
    if not dry_run:
        confirmed(f"{len(asked)} addresses are to be {word}. Go on?", yes)
    return place, asked


def _filter(channel: str | None, reason: str | None, **chosen: Any) -> Filter:
    return Filter(channel=Channel(channel) if channel else None, reason=Reason(reason) if reason else None, **chosen)


def _shown(found: Found, reveal: bool) -> dict[str, Any]:
    row = asdict(found)
    return row if reveal else {name: mask(value) if isinstance(value, str) else value for name, value in row.items()}
