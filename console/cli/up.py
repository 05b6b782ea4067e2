"""`fleet up` and `fleet down`: every process in the foreground, and the end of the embedded servers."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import click

from config import embedded, log, servers
from config.catalog import served_channels
from config.channels import EVENTS_QUEUE, JOBS_QUEUE
from config.settings import Settings, load_together
from console import simulated
from console.cli.speech import Exit, fail, say
from console.crew import Crew, Member
from outbox.migrate import runner
from providers import registry

PATIENCE_SECONDS = 10.0
"""Beyond the time a worker may drain: then a process that does not end is killed."""


@click.command()
@click.option("--no-simulator", is_flag=True, help="Leave vendors without credentials unconfigured.")
@click.option("--web/--no-web", default=True, help="Run the web process (probes, figures) on PORT.")
def up(no_simulator: bool, web: bool) -> None:
    """Run every process of the fleet in the foreground; Ctrl-C drains and ends them."""
    providers = registry.load()
    settings, _ = load_together(vendors=[provider.environment for provider in providers.values()])
    log.configure(settings.log_level, settings.log_format, process="up")
    if web:
        _free(settings.port)
    vendors = [] if no_simulator else simulated.unconfigured()
    say(
        f"simulated: {', '.join(vendors)} (neither credentials nor an address are set)"
        if vendors
        else "no vendor is simulated"
    )
    with ExitStack() as stack:
        used = stack.enter_context(servers.resolve(settings, start=True))
        _migrated(settings, used.database_url)
        environment = {"DATABASE_URL": used.database_url, "REDIS_URL": used.redis_url}
        if vendors:
            url = stack.enter_context(simulated.running("--callbacks"))
            environment |= simulated.addresses(vendors, url)
            if web:
                environment |= simulated.calling_back(vendors, url, f"http://127.0.0.1:{settings.port}")
            say(f"simulator: {url}/stats")
        if settings.database_url is None:
            say(f"database: psql '{used.database_url}'")
        if web:
            say(f"web: http://127.0.0.1:{settings.port}/readyz")
        asyncio.run(_run(members(settings, web=web), {**os.environ, **environment}, settings))


@click.command()
def down() -> None:
    """End the embedded servers of FLEET_HOME, also under processes that use them."""
    settings, _ = load_together()
    say("stopped" if embedded.stop(settings.home) else "nothing was running")


COMMANDS = (up, down)


def members(settings: Settings, *, web: bool) -> list[Member]:
    """Return the processes of the Procfile: one scheduler, a unit for each queue, the web."""
    crew = [Member("scheduler", ("scheduler",))]
    queues = [*sorted(channel.value for channel in served_channels()), EVENTS_QUEUE, JOBS_QUEUE]
    crew += [Member(queue, ("workers", queue)) for queue in queues]
    if web:
        uvicorn = (
            "uvicorn",
            "console.web:app",
            "--port",
            str(settings.port),
            "--no-access-log",
            "--log-level",
            "warning",
        )
        crew.append(Member("web", uvicorn))
    return crew


def _migrated(settings: Settings, database_url: str) -> None:
    """Migrate the embedded database; somebody's own is migrated by its owner."""
    if settings.database_url is None:
        runner.migrate(database_url, lambda _line: None)
        return
    with runner.connected(database_url) as connection:
        pending = runner.plan(connection).pending
    if pending:
        fail(f"{len(pending)} migrations have not run on this database; run: fleet db migrate", Exit.FAILED)


def _free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            fail(f"port {port} is in use; set PORT, or --no-web", Exit.USAGE)


async def _run(crew_of: Sequence[Member], environment: Mapping[str, str], settings: Settings) -> None:
    crew = Crew(crew_of, environment, settings.drain_seconds + PATIENCE_SECONDS, say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, crew.end)
    say(f"up: {', '.join(member.name for member in crew_of)} (Ctrl-C ends them)")
    await crew.run()
    say("down")
