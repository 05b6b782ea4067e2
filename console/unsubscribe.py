"""Where recipients unsubscribe: `GET` and `POST /unsubscribe/{token}`, without a login, a cookie or a script.

Owns the door: a page that asks, because scanners of mail follow links, and a POST that does it, from the page's button
or from the recipient's mail program (RFC 8058). Refuses to suppress: it stores what the recipient said, and a worker
applies it. A token that is not ours is answered 404 and nothing else is said of it.
"""

from email import message_from_bytes
from email.message import Message
from typing import NamedTuple
from urllib.parse import parse_qsl

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from admission.unsubscribe import Links, digest
from config import log
from config.database import Pool
from console import unsubscribe_page as page
from outbox import unsubscribing
from outbox.unsubscribing import Recipient

BODY_LIMIT_BYTES = 8_192
"""The body of RFC 8058 has 26 bytes, as multipart/form-data some 200."""
FIELDS_LIMIT = 20

_log = log.get(__name__)

Field = tuple[str, str]


class Desk(NamedTuple):
    """What the door works with."""

    pool: Pool
    links: Links


async def unsubscribe(request: Request) -> Response:
    """Show the page, or note what was posted: 200, or 400, 404, 413, and 503 where the database is away."""
    desk: Desk = request.app.state.unsubscribing
    token: str = request.path_params["token"]
    who = desk.links.open(token)
    if who is None:
        return page.refusal(404, "Not found", "This link does not lead anywhere.")
    try:
        return await (_post if request.method == "POST" else _get)(desk, request, who, token)
    except (psycopg.Error, PoolTimeout) as error:
        _log.warning("unsubscribing_refused", error=type(error).__name__)
        return page.refusal(503, "Try again", "This does not work at the moment. Try again soon.", Retry_After="30")
    except ClientDisconnect:
        return Response(status_code=400)


async def _get(desk: Desk, _request: Request, who: Recipient, _token: str) -> Response:
    show = page.unsubscribed if await unsubscribing.is_unsubscribed(desk.pool, who) else page.question
    return show(log.mask(who.address))


async def _post(desk: Desk, request: Request, who: Recipient, token: str) -> Response:
    body = await _body(request)
    if body is None:
        return page.refusal(413, "Too much", "This is more than the button sends.")
    fields = fields_of(request.headers.get("content-type", ""), body)
    shown = log.mask(who.address)
    if page.ONE_CLICK in fields:
        await unsubscribing.unsubscribe(desk.pool, who, digest(token))
        return page.unsubscribed(shown)
    if page.RESUBSCRIBE in fields:
        await unsubscribing.resubscribe(desk.pool, who, digest(token))
        return page.subscribed(shown)
    return page.refusal(400, "Not understood", "Open the link in a browser and press the button.")


async def _body(request: Request) -> bytes | None:
    """Return the body; None where it is too long, of which no more than the limit is read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return None
    return bytes(body)


def fields_of(content_type: str, body: bytes) -> list[Field]:
    """Read a posted form in either of its two encodings (RFC 8058, section 3.2); nothing where it is neither."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(content_type, body)
    if kind == "application/x-www-form-urlencoded":
        try:
            return parse_qsl(body.decode(), max_num_fields=FIELDS_LIMIT)
        except ValueError:
            return []
    return []


def _multipart(content_type: str, body: bytes) -> list[Field]:
    head = "".join(character for character in content_type if character.isprintable())
    whole = message_from_bytes(b"Content-Type: " + head.encode("latin-1", "replace") + b"\r\n\r\n" + body)
    parts = whole.get_payload()
    return [_part(part) for part in parts if isinstance(part, Message)] if isinstance(parts, list) else []


def _part(part: Message) -> Field:
    name = part.get_param("name", header="content-disposition")
    value = part.get_payload(decode=True)
    return str(name or ""), value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""
