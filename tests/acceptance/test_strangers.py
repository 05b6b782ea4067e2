"""Whatever is thrown at the receiver: no answer above 499, nothing in the log but counts, and nothing lost."""

import random
import subprocess
import sys

import orjson
import psycopg

from benchmarks.callbacks import ENVIRONMENT
from benchmarks.running import ROOT, fleet
from tests.acceptance.conftest import FULL
from tests.conftest import Servers
from tests.strangers.requests import PUBLIC_URL, TOKENS
from tests.strangers.standard import GENERIC_TENANT, SECRETS
from tests.strangers.strange import NOBODY
from tests.strangers.unsubscribing import SECRET_KEY

COUNT = 100_000 if FULL else 3_000

OTHERS = {
    "RESEND_API_KEY": "re_1",
    "RESEND_WEBHOOK_SECRET": SECRETS["resend"],
    "VAPI_PRIVATE_KEY": "key-1",
    "VAPI_PHONE_NUMBER_ID": "number-1",
    "VAPI_WEBHOOK_SECRET": SECRETS["vapi"],
}


def test_no_request_breaks_the_receiver_and_every_valid_one_is_stored_once(
    servers: Servers, database_url: str, redis_url: str, owner: psycopg.Connection
) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}: python -m tests.strangers {seed} {COUNT}")
    for tenant, token in TOKENS.items():
        if tenant != NOBODY:
            owner.execute(
                "INSERT INTO ai_settings_twilio (tenant_id, twilio_account_sid, twilio_auth_token, twilio_phone_number,"
                " is_connected) VALUES (%s, 'AC1', %s, '+15005550006', true)",
                (tenant, token),
            )
    owner.execute(
        "INSERT INTO fleet.accounts (tenant_id, provider, webhook_secret) VALUES (%s, 'generic', %s)",
        (GENERIC_TENANT, SECRETS["generic"]),
    )
    settings = {
        **ENVIRONMENT,
        **OTHERS,
        "FLEET_PUBLIC_URL": PUBLIC_URL,
        "FLEET_SECRET_KEY": SECRET_KEY,
        "FLEET_LOG_LEVEL": "warning",
        "LOG_FORMAT": "json",
    }
    used = fleet(database_url, redis_url, "http://127.0.0.1:9", settings)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.strangers", str(seed), str(COUNT)],
        env=used.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    print(done.stdout, done.stderr[-4_000:])
    assert done.returncode == 0
    said = {orjson.loads(line)["event"] for line in done.stderr.splitlines()}
    assert said == {"callbacks_refused"}, "neither an exception nor a warning"
    assert orjson.loads(done.stdout)["stored"] > COUNT / 10
