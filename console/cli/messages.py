"""`fleet messages`: find what failed and why, send it again, take it back. By id or by filter."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click

from config.channels import Channel
from config.database import Pool
from config.log import mask
from console.cli.ledger import actor, with_ledger, with_servers
from console.cli.moment import Moment
from console.cli.scope import cancel_scope
from console.cli.speech import Exit, FleetGroup, confirmed, fail, json_wanted, masked, print_json, print_table, say
from console.explained import explained
from outbox import decisions, replies, search
from outbox.addresses import NotAnAddress, normalise
from outbox.scopes import Scope
from outbox.search import Filter, Found
from outbox.states import Status

REPLIES_SHOWN = 100

Change = Callable[[Pool, list[UUID]], Awaitable[set[UUID]]]


def filtering(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose messages; the command gets them as one `wanted` filter."""
    options = (
        click.argument("ids", nargs=-1, type=click.UUID),
        click.option("--channel", type=click.Choice([channel.value for channel in Channel])),
        click.option("--provider"),
        click.option("--workspace", "workspace_id", type=click.UUID),
        click.option("--campaign", "campaign_id", type=click.UUID),
        click.option("--error", "error_code", help="The error code, such as 21211 or invalid_email."),
        click.option("--to", "recipient", help="The recipient's email address or number."),
        click.option("--since", type=Moment(), help="Created at or after: 2h, 7d or a date."),
        click.option("--until", type=Moment(), help="Created before."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that changes the messages which it is told to choose."""
    options = (
        click.option("--dry-run", is_flag=True, help="Count, and change nothing."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--json", "as_json", is_flag=True),
    )
    for option in reversed(options):
        command = option(command)
    return filtering(command)


@click.command("list")
@filtering
@click.option("--status", "statuses", multiple=True, type=click.Choice([status.value for status in Status]))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True)
@click.option("--unmasked", is_flag=True, help="Show whole addresses.")
def list_(statuses: tuple[str, ...], limit: int, as_json: bool, unmasked: bool, **chosen: Any) -> None:
    """List messages, newest first."""
    wanted = _filter(chosen, [Status(status) for status in statuses] or None)
    found = with_ledger(lambda pool: search.find(pool, wanted, limit=limit))
    rows = [_shown(one, unmasked) for one in found]
    if json_wanted(as_json):
        print_json({"messages": rows, "has_more": len(found) == limit})
    elif found:
        columns = ("id", "channel", "status", "recipient", "attempts", "error_code", "error_message", "created_at")
        print_table(columns, [[row[column] for column in columns] for row in rows])
    if not found:
        fail("no message matches", Exit.NOTHING)


@click.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@click.option("--json", "as_json", is_flag=True)
@click.option("--unmasked", is_flag=True, help="Show whole addresses and the payload.")
def get(id_: UUID, as_json: bool, unmasked: bool) -> None:
    """Show one message: every attempt, what vendors said of it, and what its recipient answered."""
    found = with_ledger(lambda pool: _read(pool, id_))
    if found is None:
        fail(f"there is no message {id_}", Exit.NOTHING)
    if not unmasked:
        payload = found["message"]["payload"]
        found = {name: masked(value) for name, value in found.items()}
        found["message"]["payload"] = f"{len(payload or ())} fields (--unmasked shows them)"
    if json_wanted(as_json):
        print_json(found)
        return
    print_table(("", ""), [(name, value) for name, value in found.pop("message").items() if value is not None])
    for name, rows in found.items():
        if rows or name == "attempts":
            columns = _SHOWN[name]
            print_table(columns, [[row[column] for column in columns] for row in rows], title=f"\n{name.capitalize()}")


@click.command()
@click.argument("id_", metavar="ID", type=click.UUID)
@click.option("--json", "as_json", is_flag=True)
def why(id_: UUID, as_json: bool) -> None:
    """Say what a message waits for.

    Longest first, and when it goes if nothing changes.
    """
    found = with_servers(lambda pool, redis_url: explained(pool, redis_url, id_))
    if found is None:
        fail(f"there is no message {id_}", Exit.NOTHING)
    if json_wanted(as_json):
        print_json(masked(asdict(found)))
        return
    say(mask(found.says))
    if found.waits:
        rows = [(one.code, mask(one.says), one.until or "a person, or something else, must act") for one in found.waits]
        print_table(("waits for", "", "until"), rows)


@click.command()
@changing
def retry(dry_run: bool, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Schedule failed messages again, with a fresh budget of attempts."""
    wanted = _filter(chosen, [Status.FAILED])
    change: Change = lambda pool, ids: search.retry(pool, ids, actor=actor())  # noqa: E731
    _change(wanted, change, "retried", dry_run=dry_run, yes=yes, as_json=as_json)


@click.command()
@changing
@click.option("--reason", default="no reason was given", help="Why: for fleet status, the messages, the audit log.")
def cancel(dry_run: bool, yes: bool, reason: str, as_json: bool, **chosen: Any) -> None:
    """Take messages back that are not with a vendor yet.

    With nothing but --campaign, --workspace, --channel or --provider (or --workspace and one of the others): stops the
    whole scope first, and returns when nothing of it is being sent any more.
    """
    wanted = _filter(chosen, [Status.SCHEDULED, Status.QUEUED])
    scope = Scope.of(wanted)
    if scope is not None:
        cancel_scope(scope, reason, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    change: Change = lambda pool, ids: search.cancel(pool, ids, actor=actor(), reason=reason)  # noqa: E731
    _change(wanted, change, "cancelled", dry_run=dry_run, yes=yes, as_json=as_json)


@click.command()
@changing
def arrived(dry_run: bool, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Settle unknown messages as sent: you know that the vendor took them."""
    wanted = _filter(chosen, [Status.UNKNOWN])
    change: Change = lambda pool, ids: decisions.arrived(pool, ids, actor=actor())  # noqa: E731
    _change(wanted, change, "settled as sent", dry_run=dry_run, yes=yes, as_json=as_json)


@click.command("send-again")
@changing
def send_again(dry_run: bool, yes: bool, as_json: bool, **chosen: Any) -> None:
    """Send unknown messages again: you know that the vendor did not take them, or would rather have them twice."""
    wanted = _filter(chosen, [Status.UNKNOWN])
    change: Change = lambda pool, ids: decisions.send_again(pool, ids, actor=actor())  # noqa: E731
    _change(wanted, change, "scheduled again", dry_run=dry_run, yes=yes, as_json=as_json)


messages = FleetGroup(
    "messages", help="Find and correct messages.", commands=[list_, get, why, retry, cancel, arrived, send_again]
)


def _change(wanted: Filter, change: Change, word: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    if wanted == Filter(statuses=wanted.statuses):
        fail("say which messages: ids, or a filter such as --campaign or --error", Exit.USAGE)
    ids = with_ledger(lambda pool: _all(pool, wanted))
    asked = len(wanted.ids or ()) or len(ids)
    if ids and not dry_run:
        confirmed(f"{len(ids)} messages are to be {word}. Go on?", yes)
    changed = 0 if dry_run or not ids else with_ledger(lambda pool: _each_chunk(pool, ids, change))
    if json_wanted(as_json):
        print_json({"asked": asked, "matched": len(ids), word.replace(" ", "_"): changed, "dry_run": dry_run})
    else:
        say(f"{len(ids)} match" if dry_run else f"{changed} of {asked} {word}")
    if not ids:
        fail(f"none of them can be {word} in its present status", Exit.NOTHING)
    if not dry_run and changed < asked:
        fail(f"{asked - changed} were not {word}: their status did not allow it", Exit.PARTLY)


async def _all(pool: Pool, wanted: Filter) -> list[UUID]:
    return [id_ async for chunk in search.chunks(pool, wanted) for id_ in chunk]


async def _each_chunk(pool: Pool, ids: list[UUID], change: Change) -> int:
    pieces = [ids[start : start + search.CHUNK] for start in range(0, len(ids), search.CHUNK)]
    return sum([len(await change(pool, piece)) for piece in pieces])


def _filter(chosen: dict[str, Any], statuses: list[Status] | None) -> Filter:
    ids, recipient = chosen.pop("ids"), chosen.pop("recipient")
    return Filter(**chosen, ids=list(ids) or None, recipient=_recipient(recipient), statuses=statuses)


def _recipient(text: str | None) -> str | None:
    """Write the address as people insert it most often: normalised where that is possible."""
    if text is None:
        return None
    try:
        return normalise(Channel.EMAIL if "@" in text else Channel.SMS, text)
    except NotAnAddress:
        return text


_SHOWN = {
    "attempts": ("number", "outcome", "http_status", "error_code", "provider_message_id", "started_at", "finished_at"),
    "events": ("occurred_at", "provider", "kind", "code", "reason"),
    "replies": ("received_at", "address", "text"),
}


async def _read(pool: Pool, id_: UUID) -> dict[str, Any] | None:
    """Return everything that is known of a message, by the names under which it is shown."""
    found = await search.read(pool, id_)
    if found is None:
        return None
    told = await search.events_of(pool, id_)
    answers = await replies.find(pool, message_id=id_, limit=REPLIES_SHOWN)
    return {
        "message": found[0],
        "attempts": found[1],
        "events": told,
        "replies": [asdict(answer) for answer in answers],
    }


def _shown(found: Found, unmasked: bool) -> dict[str, Any]:
    row = asdict(found)
    return row if unmasked else {name: masked(value) for name, value in row.items()}
