"""Error reports: what is sent to Sentry of a request that failed names neither the request nor anybody in it."""

import json
import subprocess
import sys
from typing import Any

import pytest

# A process of its own: the library patches others for as long as a process lives. The application is not opened, so
# that each route fails, and uvicorn, which serves it, logs why.
SCRIPT = """
import asyncio, http.client, json, logging
import sentry_sdk, uvicorn
from sentry_sdk.transport import Transport
from config import log, sentry
from config.settings import load

class Kept(Transport):
    def capture_envelope(self, envelope):
        print(json.dumps([item.payload.json for item in envelope.items]))

log.configure("info", "json", process="web")
sentry.configure(load({"SENTRY_DSN": "https://key@sentry.invalid/1"}), "web")
sentry_sdk.get_client().transport = Kept()
from console.web import app

def ask(port):
    for method, path in (("POST", "/webhooks/vapi/00000000-0000-0000-0000-000000000000?message=q-secret"),
                         ("POST", "/unsubscribe/t-secret"), ("GET", "/unsubscribe/t-secret?x=q-secret")):
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request(method, path, "b-secret", {"X-Vapi-Secret": "h-secret", "Authorization": "Bearer h-secret"})
        assert client.getresponse().status == 500
        client.close()

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(ask, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving

asyncio.run(main())
log.get("ours").error("told", url="https://x/?To=%2B14155550100", to="ada.lovelace@mail.io")
logging.getLogger("theirs").error("calling %s", "+14155550100", extra={"recipient": "ada.lovelace@mail.io"})
with sentry_sdk.start_transaction(name="/unsubscribe/t-secret", sampled=True):
    pass
"""


@pytest.fixture(scope="module")
def sent() -> list[dict[str, Any]]:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    return [event for line in finished.stdout.splitlines() for event in json.loads(line)]


def test_what_failed_is_reported_with_its_place(sent: list[dict[str, Any]]) -> None:
    kinds = [error["type"] for event in sent for error in event.get("exception", {}).get("values", [])]
    assert kinds.count("AttributeError") == 3
    assert {event["tags"]["process"] for event in sent} == {"web"}
    told = [event["logentry"]["message"] for event in sent if "logentry" in event]
    assert any("told" in one for one in told)
    assert "calling …100" in told


def test_nothing_of_a_request_is_in_a_report(sent: list[dict[str, Any]]) -> None:
    shown = json.dumps(sent)
    assert not [word for word in ("t-secret", "q-secret", "h-secret", "b-secret", "vapi/0000") if word in shown]
    assert not [event for event in sent if event.keys() & {"request", "transaction", "breadcrumbs", "user"}]


def test_nobody_is_named_in_a_report(sent: list[dict[str, Any]]) -> None:
    shown = json.dumps(sent)
    assert "lovelace" not in shown
    assert "1415555" not in shown
