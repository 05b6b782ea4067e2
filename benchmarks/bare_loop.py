"""The yardstick: two processes that claim 500 rows, POST each with aiohttp, and write them back in one UPDATE.

No queue, no lease, no attempt, no safety of any kind. What a careful engineer would write in an afternoon, and the
fastest that this machine, this database and this client can do.

`python -m benchmarks.bare_loop DATABASE_URL VENDOR_URL` runs one of the two until nothing is left.
"""

import asyncio
import sys

import aiohttp
import orjson
import psycopg
from psycopg.rows import TupleRow

CLAIM = 500
CONNECTIONS = 250

_CLAIM = """
UPDATE channel_outbox SET status = 'sending'
WHERE id IN (SELECT id FROM channel_outbox WHERE status = 'scheduled' LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id::text, recipient_phone, payload
"""
_WRITE = """
UPDATE channel_outbox o SET status = 'sent', sent_at = now(), provider_response = x.answer
FROM json_to_recordset(%s) AS x (id uuid, answer jsonb)
WHERE o.id = x.id
"""


async def main(database_url: str, vendor_url: str) -> None:
    """Send until nothing is left."""
    async with (
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as database,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session,
    ):
        await database.execute("SET ROLE fleet")  # or the ledger's guard refuses, as it should
        while rows := await (await database.execute(_CLAIM, (CLAIM,))).fetchall():
            answers = await asyncio.gather(*(_post(session, vendor_url, row) for row in rows))
            await database.execute(_WRITE, (orjson.dumps(answers).decode(),))


async def _post(session: aiohttp.ClientSession, vendor_url: str, row: TupleRow) -> dict[str, object]:
    form = {"To": row[1], "From": "+15005550006", "Body": row[2]["body"]}
    async with session.post(f"{vendor_url}/2010-04-01/Accounts/AC0/Messages.json", data=form) as answer:
        return {"id": row[0], "answer": orjson.loads(await answer.read())}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
