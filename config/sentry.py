"""Error reports, where SENTRY_DSN is set. Refuses personal data: no bodies, no addresses, no variables of frames.

Nothing of a request either: its headers carry secrets, its address may hold a token that unsubscribes somebody, and
what we ask vendors names recipients. So nothing is switched on that we did not choose, and what is sent is cleaned once
more.
"""

from typing import TYPE_CHECKING

import sentry_sdk
from sentry_sdk.integrations.dramatiq import DramatiqIntegration

from config.log import mask, mask_fields
from config.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_LEFT_OUT = ("request", "transaction", "transaction_info", "breadcrumbs", "user", "spans")


def configure(settings: Settings, process: str) -> None:
    """Start reporting errors of this process. Must run before the broker is built (the integration patches it)."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        # Those that it would find by itself report the requests that come in, and tell vendors our trace.
        auto_enabling_integrations=False,
        integrations=[DramatiqIntegration()],
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        before_send=_cleaned,
        before_send_transaction=_nothing,
    )
    sentry_sdk.set_tag("process", process)


def _cleaned(event: "Event", _hint: "Hint") -> "Event":
    """Return an event with the places and the kinds of its errors, and their texts masked."""
    event = {name: value for name, value in event.items() if name not in _LEFT_OUT}  # type: ignore[assignment]
    for entry in event.get("exception", {}).get("values", []):
        entry["value"] = mask(str(entry.get("value", "")))
    event["extra"] = mask_fields(None, "", dict(event.get("extra", {})))
    logged = event.get("logentry")
    if logged:
        event["logentry"] = {"message": mask(str(logged.get("formatted") or logged.get("message") or ""))}
    return event


def _nothing(_event: "Event", _hint: "Hint") -> None:
    """Send no transaction: they are named after requests."""
