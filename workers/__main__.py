"""`python -m workers CHANNEL...`: one sending unit, a small parent and its child. Ops scale by the number of units."""

import sys

import click

from config import log
from config.catalog import served_channels
from config.channels import EVENTS_QUEUE, JOBS_QUEUE
from config.settings import SettingsError, load_together
from providers import registry
from workers.supervisor import Supervisor

QUEUES = (*sorted(channel.value for channel in served_channels()), EVENTS_QUEUE, JOBS_QUEUE)


@click.command(help="Send the messages of one or more queues: " + ", ".join(QUEUES) + ".")
@click.argument("queues", nargs=-1, required=True, type=click.Choice(QUEUES))
def main(queues: tuple[str, ...]) -> None:
    """Check the environment, then run until told to end."""
    try:
        settings, _ = load_together(vendors=[provider.environment for provider in registry.load().values()])
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    log.configure(settings.log_level, settings.log_format, process="supervisor")
    sys.exit(Supervisor(sorted(set(queues)), settings).run())


if __name__ == "__main__":
    main(prog_name="python -m workers")
