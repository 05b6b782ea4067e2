"""The simulator beside the fleet, for vendors that are not configured; and how it calls the fleet back."""

import base64
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from config.catalog import CATALOG

SECRET_VARIABLES = {"resend": "RESEND_WEBHOOK_SECRET", "vapi": "VAPI_WEBHOOK_SECRET"}
"""What proves the callbacks of the environment's account; Twilio signs with its auth token."""
SECRET_BYTES = 24
PATIENCE_SECONDS = 10.0


def unconfigured(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the vendors that have neither credentials nor an address of their own in the environment."""
    return [
        name
        for name, facts in CATALOG.items()
        if not environ.get(facts.key_variable) and not environ.get(facts.url_variable)
    ]


def addresses(vendors: Sequence[str], url: str) -> dict[str, str]:
    """Return the environment that leads these vendors to a simulator at `url`."""
    return {CATALOG[name].url_variable: url for name in vendors}


def calling_back(
    vendors: Sequence[str], url: str, web_url: str, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Let the simulator at `url` call the web process back; return the environment in which the fleet believes it.

    `FLEET_PUBLIC_URL` is set only where nobody set it and every vendor is simulated: a real one cannot reach us there.
    """
    proofs = {SECRET_VARIABLES[name]: "" for name in vendors if name in SECRET_VARIABLES}
    proofs = {variable: environ.get(variable) or _new_secret() for variable in proofs}
    for name in vendors:
        secret = proofs.get(SECRET_VARIABLES.get(name, ""), "")
        _register(url, {"vendor": name, "url": f"{web_url}/webhooks/{name}/{UUID(int=0)}", "secret": secret})
    is_free = not environ.get("FLEET_PUBLIC_URL") and set(vendors) == set(CATALOG)
    return {**proofs, "FLEET_PUBLIC_URL": web_url} if is_free else proofs


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _register(url: str, hook: Mapping[str, str]) -> None:
    request = urllib.request.Request(f"{url}/hooks", data=json.dumps(hook).encode())  # noqa: S310 - our own simulator
    urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()  # noqa: S310


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run a simulator on a free port; give its address."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "simulator", "--port", "0", "--die-with-parent", *arguments],
        stdin=subprocess.PIPE,  # its end, by whichever death of ours, is the simulator's end
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        first = process.stdout.readline() if process.stdout else ""
        if "http" not in first:
            raise RuntimeError("the simulator did not start")
        yield first.split()[-1]
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
