"""From the environment to an application: what every sending process does first."""

from contextlib import ExitStack

from config import failpoints, log, sentry, servers
from config.settings import load_together
from providers import registry
from workers.actors import Application, build


def wire(in_use: ExitStack, process: str = "worker") -> Application:
    """Read the environment and build the application; embedded servers stay in use until `in_use` is closed.

    Raises SettingsError with every problem of the fleet's and the vendors' variables, EmbeddedError without servers.
    """
    providers = registry.load()
    settings, vendors = load_together(vendors=[provider.environment for provider in providers.values()])
    log.configure(settings.log_level, settings.log_format, process=process)
    sentry.configure(settings, process)
    failpoints.arm(settings.failpoint)
    addresses = in_use.enter_context(servers.resolve(settings, start=False))
    return build(settings, dict(zip(providers, vendors, strict=True)), addresses)
