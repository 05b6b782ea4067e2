"""The demo's trouble: what its vendors get wrong while it runs.

Only such as the fleet resolves by itself with each vendor: Resend may fail in every way, because its requests are
replayed under their key; the others refuse for want of capacity, or fail before they have taken anything.
"""

import urllib.request

import orjson

FAULTS: tuple[dict[str, object], ...] = (
    {"vendor": "resend", "kind": "too_many", "rate": 0.05, "seconds": 1},
    {"vendor": "resend", "kind": "server_error", "rate": 0.05},
    {"vendor": "resend", "kind": "server_error_after_accept", "rate": 0.05},
    {"vendor": "resend", "kind": "accept_then_drop", "rate": 0.05},
    {"vendor": "twilio", "kind": "too_many", "rate": 0.05, "seconds": 1},
    {"vendor": "vapi", "kind": "too_many", "rate": 0.05, "seconds": 1},
)


def order(simulator_url: str) -> None:
    """Order them at the simulator."""
    for fault in FAULTS:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{simulator_url}/faults", data=orjson.dumps(fault), headers={"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
