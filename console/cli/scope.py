"""`fleet messages cancel` where its filter is exactly a scope: with a mark from which on nothing of it starts."""

import asyncio

from console.cli.ledger import actor, with_ledger
from console.cli.speech import Exit, confirmed, fail, json_wanted, print_json, say
from outbox import cancellation
from outbox.cancellation import Cancelled, Order, Progress, Seen
from outbox.scopes import Scope

LOOK_SECONDS = 0.2


def cancel_scope(scope: Scope, reason: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Cancel everything of a scope that no vendor has, and say what became of the rest."""
    seen = with_ledger(lambda pool: cancellation.look(pool, scope))
    if not (seen.waiting or seen.sending or seen.marked):
        _print(scope, seen, Cancelled(0, 0, 0), dry_run=dry_run, as_json=as_json)
        fail(f"nothing of {scope.key} waits or is being sent", Exit.NOTHING)
    if dry_run:
        _print(scope, seen, Cancelled(0, 0, 0), dry_run=True, as_json=as_json)
        return
    confirmed(f"{seen.waiting} messages of {scope.key} are to be cancelled, {seen.sending} are being sent. Go on?", yes)
    order = Order(scope, actor(), reason)
    ended = with_ledger(lambda pool: cancellation.cancel(pool, order, _between))
    _print(scope, seen, ended, dry_run=False, as_json=as_json)
    if ended.with_vendor or ended.unknown:
        fail("not everything could be taken back", Exit.PARTLY)


async def _between(progress: Progress) -> None:
    if progress.sending:
        await asyncio.sleep(LOOK_SECONDS)


def _print(scope: Scope, seen: Seen, ended: Cancelled, *, dry_run: bool, as_json: bool) -> None:
    if json_wanted(as_json):
        counts = {"cancelled": ended.cancelled, "with_vendor": ended.with_vendor, "unknown": ended.unknown}
        print_json({"scope": scope.key, "matched": seen.waiting, **counts, "dry_run": dry_run})
    elif dry_run:
        say(f"{seen.waiting} match, {seen.sending} are being sent")
    else:
        say(f"{ended.cancelled} cancelled, {ended.with_vendor} already with the vendor, {ended.unknown} unknown")
