"""`fleet status`: how it stands, for a person at a terminal or a script."""

from dataclasses import asdict
from datetime import timedelta
from math import ceil

import click

from admission.open_breakers import OpenBreaker
from config.catalog import served_channels
from config.database import Pool
from console.breakers import breakers_at
from console.cli.ledger import with_servers
from console.cli.speech import json_wanted, print_json, print_table, say
from outbox.overview import COUNT_LIMIT, Overview, overview, rates
from outbox.readiness import NOT_OURS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as when the output is not a terminal.")
def status(as_json: bool) -> None:
    """Show what waits, what is under way, what ended today, who works, and what holds."""
    seen, sent, breakers = with_servers(_read)
    if json_wanted(as_json):
        attempts = [{"provider": p, "outcome": o, "requests": n} for (p, o), n in seen.attempts.items()]
        open_ = None if breakers is None else [asdict(one) for one in breakers]
        print_json({**asdict(seen), "attempts": attempts, "per_minute": sent, "breakers": open_})
        return
    _print_channels(seen)
    _print_forecast(seen, sent)
    _print_trouble(seen)
    _print_breakers(breakers)


async def _read(pool: Pool, redis_url: str) -> tuple[Overview, dict[str, int], list[OpenBreaker] | None]:
    """Read how it stands; of the breakers nothing is known (None) while Redis is away."""
    return await overview(pool), await rates(pool), breakers_at(redis_url)


def _print_channels(seen: Overview) -> None:
    rows = []
    for name, view in seen.channels.items():
        counted = view.statuses
        if not (view.due or view.held or view.later or counted or view.workers):
            continue
        ends = [counted.get(status, 0) for status in ("sent", "delivered", "failed")]
        age = f"{view.oldest_due_seconds:.0f} s" if view.due else ""
        under_way = counted.get("queued", 0) + counted.get("sending", 0)
        rows.append(
            (
                name,
                _capped(view.due),
                age,
                _capped(view.held),
                _capped(view.later),
                under_way,
                counted.get("unknown", 0),
                *ends,
                view.workers,
            )
        )
    print_table(
        (
            "channel",
            "due",
            "oldest",
            "held",
            "later",
            "under way",
            "unknown",
            "sent",
            "delivered",
            "failed",
            "workers",
        ),
        rows,
    )
    say("sent, delivered, failed: of messages made in the last 24 hours" if rows else "no messages, and no workers")


def _print_forecast(seen: Overview, sent: dict[str, int]) -> None:
    """Say how long what is due takes at the rate of the last minute."""
    for name, view in seen.channels.items():
        if per_minute := sent.get(name, 0):
            takes = timedelta(seconds=ceil(60 * view.due / per_minute))
            over = "over " if view.due >= COUNT_LIMIT else ""
            say(f"{name}: {per_minute} in the last minute" + (f"; what is due takes {over}{takes}" if view.due else ""))


def _print_trouble(seen: Overview) -> None:
    if not seen.is_recognised:
        say(f"\n{NOT_OURS}")
    if seen.holds:
        ends = {
            "adoption": "until fleet db adopt",
            "cancel": "until its end; died: run it again",
            "pause": "until fleet resume",
            "hold": "until fleet campaigns release",
        }
        held = [(h.scope, h.kind, h.reason, h.created_by, h.until or ends[h.kind]) for h in seen.holds]
        print_table(("paused", "kind", "why", "by", "until"), held, title="\nPauses")
    if seen.halted:
        rows = [(a.provider, a.tenant_id, a.code, a.reason, a.until) for a in seen.halted]
        print_table(("provider", "tenant", "code", "why", "next try"), rows, title="\nHalted accounts")
    if seen.strays:
        say(f"\nmessages with a status that nothing will ever claim: {', '.join(seen.strays)}")
    served = served_channels()
    for name, view in seen.channels.items():
        if view.held and name not in served:
            say(f"no provider of this version serves {name}: its messages wait")
        elif (view.due or view.held) and not view.workers:
            say(f"no worker serves {name}: python -m workers {name}")


def _print_breakers(breakers: list[OpenBreaker] | None) -> None:
    if breakers is None:
        say("\nRedis does not answer: nothing is claimed, and which vendors do not work is not known")
    elif breakers:
        rows = [(b.provider, b.tenant_id, b.since, b.error, b.until) for b in breakers]
        print_table(("provider", "tenant", "since", "last error", "next try"), rows, title="\nVendors that do not work")


def _capped(count: int) -> str:
    return f"{count}+" if count >= COUNT_LIMIT else str(count)
