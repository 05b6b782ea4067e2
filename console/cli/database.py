"""`fleet db`: bring a database to the fleet's schema, and take a live one over."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
import psycopg
from psycopg.errors import LockNotAvailable

from config import servers
from config.database import Pool
from config.settings import load
from console.cli.ledger import actor, with_ledger
from console.cli.speech import Exit, FleetGroup, confirmed, fail, first_line, print_table, say
from outbox import adoption, identity
from outbox.migrate import files, runner
from outbox.migrate.finding import Database, Finding
from outbox.migrate.lease import Busy
from outbox.migrate.verify import problems

SHOWN = 100_000
CANCELLED_AT_ONCE = 2_000


@contextmanager
def _address() -> Iterator[tuple[str, bool]]:
    """Give the database's URL and whether it leads through a pooler; Redis has no part in this.

    A migration takes the direct address where there is one.
    """
    settings = load()
    direct = settings.database_listen_url
    configured = direct or settings.database_url
    if configured:
        yield configured.get_secret_value(), settings.database_pooler == "transaction" and not direct
        return
    with servers.resolve(settings, start=False) as addresses:
        yield addresses.database_url, False


@contextmanager
def _connected() -> Iterator[Database]:
    with _sentences(), _address() as (database_url, pooled), runner.connected(database_url, pooled=pooled) as database:
        yield database


@contextmanager
def _sentences(then: str = "") -> Iterator[None]:
    """Say what keeps a command from its work, and what to do then."""
    try:
        yield
    except (Busy, runner.Changed) as error:
        fail(str(error), Exit.FAILED)
    except psycopg.DatabaseError as error:
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, LockNotAvailable):
            raise
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        fail(f"{first_line(error)}{hint}{then}", Exit.FAILED)


@click.command()
def plan() -> None:
    """Compare the database with what the fleet needs; changes nothing."""
    with _connected() as connection:
        planned = runner.plan(connection)
    _print_findings(planned.findings)
    for name in planned.pending:
        click.echo(f"to run    {name}")
    if planned.blocking:
        fail("resolve what blocks; until then migrate changes nothing", Exit.FAILED)
    if not planned.pending:
        say("nothing to run")


@click.command()
def migrate() -> None:
    """Bring the database up to date, short in its locks; refuses before the first change where something blocks."""
    try:
        with (
            _sentences("; what had run is kept, run it again when this is mended"),
            _address() as (database_url, pooled),
        ):
            ran = runner.migrate(database_url, say, pooled=pooled)
    except runner.Blocked as blocked:
        _print_findings(blocked.findings)
        fail("nothing was changed; resolve what blocks and run it again", Exit.FAILED)
    say(f"{len(ran)} migrations ran" if ran else "up to date")


@click.command()
def status() -> None:
    """List the migrations and which of them have run."""
    with _connected() as connection:
        pending = set(runner.plan(connection).pending)
    for migration in files.load():
        click.echo(f"{'pending' if migration.name in pending else 'applied'}  {migration.name}")
    if pending:
        fail(f"{len(pending)} migrations have not run; run: fleet db migrate", Exit.UNHEALTHY)


@click.command()
def verify() -> None:
    """Check that the fleet can work on this database: migrations, indexes, triggers, role."""
    with _connected() as connection:
        found = problems(connection)
    for problem in found:
        click.echo(problem)
    if found:
        fail(f"{len(found)} problems", Exit.UNHEALTHY)
    say("all is well")


@click.command()
@click.option("--cancel-held", is_flag=True, help="Cancel the held messages instead of sending them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(cancel_held: bool, yes: bool) -> None:
    """End the hold on what was due before the fleet came."""
    found = with_ledger(lambda pool: adoption.held(pool, limit=SHOWN))
    if found is None:
        fail("nothing is held", Exit.NOTHING)
    reason, held = found
    count = f"{held}{' or more' if held == SHOWN else ''}"
    say(f"held: {reason}")
    confirmed(f"{'Cancel' if cancel_held else 'Send'} {count} held messages?", yes)
    cancelled = with_ledger(lambda pool: _adopt(pool, cancel_held))
    say(f"adopted; {cancelled} cancelled" if cancel_held else "adopted; what was held goes out when it is due")


@click.command()
@click.option("--nothing-was-lost", is_flag=True, help="It was moved while nothing was sent: hold nothing back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def restored(nothing_was_lost: bool, yes: bool) -> None:
    """Say that a copy is the one to send from.

    This database was restored or copied, and sends nothing until then. What was due until now waits until fleet db
    adopt: it may have gone out since the backup was made, or from the original.
    """
    if with_ledger(identity.is_recognised):
        say("the fleet sends from this database already; go on where it was restored physically, as it stands")
    confirmed("Is this the database to send from, and is no other of its kind at work?", yes)
    with_ledger(lambda pool: identity.restored(pool, actor=actor(), hold=not nothing_was_lost))
    say(
        "the fleet sends from this database"
        if nothing_was_lost
        else "the fleet sends from this database; what was due until now waits: fleet db adopt"
    )


async def _adopt(pool: Pool, cancel_held: bool) -> int:
    cancelled = 0
    while cancel_held and await _holds_any(pool):
        cancelled += await adoption.cancel_some(pool, actor=actor(), limit=CANCELLED_AT_ONCE)
    await adoption.release(pool, actor=actor())
    return cancelled


async def _holds_any(pool: Pool) -> bool:
    """Asked again before the hold ends: what is still held then goes out."""
    _, held = await adoption.held(pool, limit=1) or ("", 0)
    return held > 0


def _print_findings(findings: list[Finding]) -> None:
    """Print them as a table, and below it, ready to be copied, what a person may run."""
    if not findings:
        return
    words = {"blocks": "BLOCKS", "resolved": "migrate resolves", "note": "note"}
    print_table(
        ("", "what", "is", "resolution"), [(words[f.kind], f.subject, f.problem, f.resolution) for f in findings]
    )
    for finding in findings:
        if finding.kind == "blocks" and finding.statements:
            click.echo(f"\n-- {finding.subject} {finding.problem}: {finding.resolution}")
            for statement in finding.statements:
                click.echo(f"{statement};")


database = FleetGroup(
    "db", help="Bring a database to the fleet's schema.", commands=[migrate, plan, status, verify, adopt, restored]
)
