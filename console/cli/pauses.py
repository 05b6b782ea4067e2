"""`fleet pause|resume|stop|drain`: what must not go out, who says so, and until when; `fleet status` lists what stands.

Owns how a scope is named at a terminal. Refuses to touch messages: what is held waits as it is.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from config.catalog import CATALOG
from config.channels import Channel
from config.database import Pool
from console.cli.ledger import actor, with_ledger
from console.cli.moment import Until
from console.cli.speech import Exit, confirmed, fail, json_wanted, print_json, say
from outbox import cancellation, overview, pauses
from outbox.overview import Hold
from outbox.pauses import ENDED_BY, Kind, Said
from outbox.scopes import Scope

LOOK_SECONDS = 0.2


def scoped(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a scope, and those that every command here has."""
    options = (
        click.option("--all", "everything", is_flag=True, help="Everything that the fleet sends."),
        click.option("--channel", type=click.Choice([channel.value for channel in Channel])),
        click.option("--provider", type=click.Choice(sorted(CATALOG))),
        click.option("--workspace", "workspace_id", type=click.UUID),
        click.option("--campaign", "campaign_id", type=click.UUID),
        click.option("--json", "as_json", is_flag=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


def stopping(command: Callable[..., None]) -> Callable[..., None]:
    """Add what a command takes that stops a scope."""
    options = (
        click.option("--why", required=True, help="For whoever asks why nothing goes out."),
        click.option("--until", type=Until(), help="It ends by itself: in 2h, 30m, 7d, or at a date."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )
    for option in reversed(options):
        command = option(command)
    return scoped(command)


@click.command()
@stopping
def pause(**given: Any) -> None:
    """Stop a scope; what is due waits.

    A channel, a provider, a workspace, a campaign, one of the others in a workspace, or everything.
    """
    _stop(wait=False, **given)


@click.command()
@scoped
@click.option("--why", default="no reason was given")
def resume(why: str, as_json: bool, **named: Any) -> None:
    """End the pauses of exactly this scope."""
    go_on(Said(Kind.PAUSE, _scope(**named), actor(), why), as_json=as_json)


@click.command()
@stopping
def stop(**given: Any) -> None:
    """Stop every send at once.

    fleet stop --all --why "wrong text"; it goes on with fleet resume --all.
    """
    if not given["everything"] or _scope_of(given) != Scope():
        fail("say --all; for less there is fleet pause", Exit.USAGE)
    _stop(wait=False, **given)


@click.command()
@stopping
def drain(**given: Any) -> None:
    """Pause a scope and wait for its requests.

    When it returns, nothing of the scope is with a vendor: what is left in the ledger is all there is.
    """
    _stop(wait=True, **given)


COMMANDS = [pause, resume, stop, drain]


def stand_still(said: Said, until: datetime | None, *, wait: bool = False, as_json: bool) -> None:
    """Stop a scope and say so. `wait`: until nothing of it is with a vendor."""

    async def work(pool: Pool) -> None:
        await pauses.pause(pool, said, until)
        if wait:
            await _settled(pool, said.scope)

    with_ledger(work)
    if json_wanted(as_json):
        print_json({"scope": said.scope.key, "kind": said.kind.value, "until": until})
    else:
        say(f"{said.scope.key}: nothing starts any more, until {until or f'it is {ENDED_BY[said.kind]}d'}")


def go_on(said: Said, *, as_json: bool) -> None:
    """End what stands of one kind on a scope, and say what else does."""

    async def work(pool: Pool) -> tuple[int, list[Hold]]:
        return await pauses.resume(pool, said), await overview.holds(pool)

    ended, left = with_ledger(work)
    if json_wanted(as_json):
        print_json({"scope": said.scope.key, "ended": ended, "pauses": [asdict(one) for one in left]})
    others = f"; {len(left)} of other scopes stand: fleet status" if left else ""
    if not ended:
        fail(f"no {said.kind.value} of {said.scope.key} stands{others}", Exit.NOTHING)
    say(f"{said.scope.key} goes on{others}")


def _stop(*, why: str, until: datetime | None, yes: bool, wait: bool, as_json: bool, **named: Any) -> None:
    scope = _scope(**named)
    if scope == Scope():
        confirmed("Nothing at all will be sent until somebody resumes. Go on?", yes)
    stand_still(Said(Kind.PAUSE, scope, actor(), why), until, wait=wait, as_json=as_json)


async def _settled(pool: Pool, scope: Scope) -> None:
    """Wait until nothing of a scope is with a vendor; a person may break it off, and the pause stands."""
    while under_way := await cancellation.sending(pool, scope):
        say(f"{under_way} are with a vendor")
        await asyncio.sleep(LOOK_SECONDS)


def _scope(*, everything: bool, **named: Any) -> Scope:
    scope = _scope_of(named)
    if everything != (scope == Scope()):
        fail("say what: --all, or --channel, --provider, --workspace, --campaign", Exit.USAGE)
    if not scope.is_one:
        fail("these do not go together; a workspace goes with a campaign, a channel or a provider", Exit.USAGE)
    return scope


def _scope_of(named: dict[str, Any]) -> Scope:
    return Scope(**{name: named[name] for name in ("workspace_id", "campaign_id", "channel", "provider")})
