"""The transitions of a message against a real PostgreSQL."""

from uuid import UUID, uuid4

import psycopg

from config.channels import Channel
from config.database import Pool
from outbox import claims
from tests.factories import insert


async def test_claim_takes_due_messages_of_its_channel_only(ledger: Pool, owner: psycopg.Connection) -> None:
    due = insert(owner, channel="email")
    insert(owner, channel="sms")
    insert(owner, channel="email", scheduled_at="tomorrow")

    claimed = await claims.claim(ledger, Channel.EMAIL, limit=10, token=uuid4(), lease_seconds=60)

    assert [UUID(id_) for id_ in claimed] == [due]
