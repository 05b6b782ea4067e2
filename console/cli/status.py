"""`fleet status`: how it stands, for a person at a terminal or a script."""

from dataclasses import asdict

import click

from config.catalog import served_channels
from console.cli.ledger import with_ledger
from console.cli.speech import json_wanted, print_json, print_table, say
from outbox.overview import COUNT_LIMIT, Overview, overview


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as when the output is not a terminal.")
def status(as_json: bool) -> None:
    """Show what waits, what is under way, what ended today, who works, and what holds."""
    seen = with_ledger(overview)
    if json_wanted(as_json):
        attempts = [{"provider": p, "outcome": o, "requests": n} for (p, o), n in seen.attempts.items()]
        print_json({**asdict(seen), "attempts": attempts})
        return
    _print_channels(seen)
    _print_trouble(seen)


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


def _print_trouble(seen: Overview) -> None:
    if seen.holds:
        ends = {"adoption": "until fleet db adopt", "cancel": "until its end; died: run it again"}
        held = [
            (h.scope, h.kind, h.reason, h.created_by, h.until or ends.get(h.kind, "until resumed")) for h in seen.holds
        ]
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


def _capped(count: int) -> str:
    return f"{count}+" if count >= COUNT_LIMIT else str(count)
