"""Error reports, where SENTRY_DSN is set. Refuses personal data: no bodies, no addresses, no variables of frames."""

from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.integrations.dramatiq import DramatiqIntegration

from config.log import mask
from config.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


def configure(settings: Settings, process: str) -> None:
    """Start reporting errors of this process. Must run before the broker is built (the integration patches it)."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        integrations=[DramatiqIntegration()],
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=_masked,
    )
    sentry_sdk.set_tag("process", process)


def _masked(event: "Event", _hint: "Hint") -> "Event":
    for entry in event.get("exception", {}).get("values", []):
        entry["value"] = mask(str(entry.get("value", "")))
    logged = event.get("logentry")
    if logged:
        event["logentry"] = {"message": mask(str(logged.get("formatted") or logged.get("message") or ""))}
    return event
