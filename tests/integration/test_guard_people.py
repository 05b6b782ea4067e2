"""What signed-in people may do to messages through the platform's API: as the owner's policies say, and less.

On an owner's database where the API's roles hold every right on every table, so that only policies and the guard
stand between people; and on a new one, where rights are granted by column.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from config.channels import JOB_TYPES
from outbox.migrate.runner import migrate
from tests.conftest import Servers

from . import other_servers
from .owners_database import make
from .owners_ways import WAYS
from .platform_tables import Database
from .platform_tenants import Tenant, settled


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[Database]:
    """An owner's database with policies of its own and broad grants, migrated; each test has its own tenants in it."""
    with (
        other_servers.database(servers.database_url) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        make(connection)
        connection.execute(WAYS["broad grants"].encode())
        migrate(url, lambda _line: None)
        yield connection


@pytest.fixture
def tenants(database: Database) -> tuple[Tenant, Tenant]:
    return settled(database), settled(database)


@contextmanager
def signed_in(database: Database, person: UUID, role: str = "authenticated") -> Iterator[None]:
    """Act as this person; what was written is taken back in the end."""
    with database.transaction(force_rollback=True):
        database.execute("SELECT set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": str(person)})])
        database.execute(f"SET LOCAL ROLE {role}".encode())
        yield


def inserted(database: Database, person: UUID, **columns: object) -> bool:
    """Tell whether the person may insert this message."""
    names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    with signed_in(database, person):
        try:
            database.execute(f"INSERT INTO channel_outbox ({names}) VALUES ({places})".encode(), columns)
        except InsufficientPrivilege:
            return False
    return True


def changed(database: Database, person: UUID, id_: object, changes: str, role: str = "authenticated") -> int | None:
    """Return how many rows the person's change reaches; None where it is refused."""
    with signed_in(database, person, role):
        try:
            return database.execute(f"UPDATE channel_outbox SET {changes} WHERE id = %s".encode(), (id_,)).rowcount
        except InsufficientPrivilege:
            return None


def test_nobody_inserts_a_message_under_a_strangers_tenant(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    mine, other = tenants
    for tenant, allowed in ((None, True), (mine.workspace, True), (other.workspace, False), (uuid4(), False)):
        row = {"workspace_id": mine.workspace, "tenant_id": tenant, "channel": "email"}
        assert inserted(database, mine.person, **row) is allowed, tenant
    legacy = uuid4()
    database.execute("INSERT INTO user_tenants (user_id, tenant_id) VALUES (%s, %s)", (mine.person, legacy))
    assert inserted(database, mine.person, workspace_id=mine.workspace, tenant_id=legacy)


def test_nobody_hands_a_message_to_a_strangers_tenant(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    mine, other = tenants
    id_ = mine.rows["channel_outbox"]
    assert changed(database, mine.person, id_, "tenant_id = NULL") == 1
    assert changed(database, mine.person, id_, f"tenant_id = '{other.workspace}'") is None


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        *((("status", word, word in ("scheduled", "draft"))) for word in ("scheduled", "draft", "sent", "queued")),
        *(("status", word, False) for word in ("sending", "delivered", "failed", "cancelled", "suppressed", "unknown")),
        ("attempts", 1, False),
        ("attempts_forgiven", 1, False),
        ("crashes", 1, False),
        ("lease_token", uuid4(), False),
        ("lease_expires_at", "tomorrow", False),
        ("send_key", uuid4(), False),
        ("sender", "+1", False),
        ("provider_message_id", "SM1", False),
        ("error_class", "rejected", False),
        ("finalized_at", "today", False),
        ("poll_at", "today", False),
        ("priority", 1, True),
        ("campaign_id", uuid4(), True),
    ],
)
def test_nobody_inserts_a_message_with_a_past(
    database: Database, tenants: tuple[Tenant, Tenant], column: str, value: object, allowed: bool
) -> None:
    mine, _ = tenants
    assert inserted(database, mine.person, workspace_id=mine.workspace, **{column: value}) is allowed


def test_people_change_what_is_still_to_be_sent_and_nothing_else(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    mine, other = tenants
    id_ = mine.rows["channel_outbox"]
    assert changed(database, mine.person, id_, "payload = '{}', scheduled_at = now()") == 1
    assert changed(database, mine.person, id_, "status = 'cancelled'") == 1
    assert changed(database, mine.person, id_, "status = 'sent'") is None
    assert changed(database, mine.person, id_, "attempts = 1") is None
    assert changed(database, other.person, id_, "payload = '{}'") == 0


def test_a_member_who_schedules_a_sent_message_again_is_refused(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    mine, _ = tenants
    id_ = mine.rows["channel_outbox"]
    with database.transaction():
        database.execute("SET LOCAL ROLE fleet")
        database.execute("UPDATE channel_outbox SET status = 'sent', attempts = 1 WHERE id = %s", (id_,))
    with signed_in(database, mine.person):
        visible = database.execute("SELECT status FROM channel_outbox WHERE id = %s", (id_,)).fetchone()
        with pytest.raises(InsufficientPrivilege, match="only the fleet may change it"):
            database.execute("UPDATE channel_outbox SET status = 'scheduled' WHERE id = %s", (id_,))
    assert visible == ("sent",)


def test_people_do_not_send_again_what_another_sender_has_sent(
    database: Database, tenants: tuple[Tenant, Tenant]
) -> None:
    mine, _ = tenants
    id_ = mine.rows["channel_outbox"]
    database.execute("UPDATE channel_outbox SET status = 'sent' WHERE id = %s", (id_,))
    for word in ("scheduled", "delivered", "failed", "cancelled"):
        assert changed(database, mine.person, id_, f"status = '{word}'") is None, word
    with signed_in(database, mine.person), pytest.raises(InsufficientPrivilege):
        database.execute("DELETE FROM channel_outbox")
    assert changed(database, mine.person, id_, "status = 'delivered'", role="service_role") == 1


@pytest.mark.parametrize("job_type", sorted(JOB_TYPES))
def test_nobody_has_the_fleet_work_on_messages_of_others(
    database: Database, tenants: tuple[Tenant, Tenant], job_type: str
) -> None:
    """Also where the owner lets people make jobs."""
    mine, other = tenants
    with database.transaction(force_rollback=True):
        database.execute("CREATE POLICY jobs ON job_queue TO authenticated USING (true) WITH CHECK (true)")
        insert = "INSERT INTO job_queue (job_type, workspace_id) VALUES (%s, %s)"
        for kind, workspace, allowed in (
            (job_type, mine.workspace, True),
            (job_type, other.workspace, False),
            (job_type, None, False),
            ("refresh_scores", None, True),
        ):
            with signed_in(database, mine.person):
                if allowed:
                    database.execute(insert, (kind, workspace))
                    continue
                with pytest.raises(InsufficientPrivilege):
                    database.execute(insert, (kind, workspace))


def test_on_a_new_database_people_write_by_column(owner: psycopg.Connection) -> None:
    mine = settled(owner)
    row = {"workspace_id": mine.workspace, "channel": "email", "priority": 1, "campaign_id": uuid4()}
    assert inserted(owner, mine.person, **row)
    assert not inserted(owner, mine.person, **row, attempts=0)
    id_ = mine.rows["channel_outbox"]
    assert changed(owner, mine.person, id_, "payload = '{}', scheduled_at = now(), status = 'cancelled'") == 1
    assert changed(owner, mine.person, id_, "priority = 1") is None
