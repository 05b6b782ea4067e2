"""Twilio's status callbacks as bytes, signed, and keep-alive connections that deliver them.

Owns the client: it parses no more than it must, so that on shared cores its own cost hides little of the server's.
"""

import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode
from uuid import UUID, uuid4

from providers.twilio.signature import signature

SID = "AC" + "e" * 32
TOKEN = "of the environment"
PATH = f"/webhooks/twilio/{UUID(int=0)}"
ENVIRONMENT = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_PHONE_NUMBER": "+15005550006"}


def signed(public_url: str, sid: str, status: str = "delivered") -> bytes:
    """Return one request, as Twilio writes it, of an attempt that nobody knows."""
    said = {
        "ApiVersion": "2010-04-01",
        "SmsSid": sid,
        "SmsStatus": status,
        "SmsDlrDoneDate": "2602011200",
        "From": "+15005550006",
        "To": "+14155550100",
        "MessageSid": sid,
        "MessageStatus": status,
        "AccountSid": SID,
    }
    target = f"{PATH}?attempt={uuid4()}&message={uuid4()}"
    text = "".join(name + value for name, value in sorted(said.items()))
    body = urlencode(said).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\nX-Home-Region: us1\r\n"
        f"I-Twilio-Idempotency-Token: {uuid4()}\r\n"
        f"X-Twilio-Signature: {signature(TOKEN, public_url + target, text).decode()}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection: writes the next request when the last is answered. Raises what it did not expect."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next(transport)

    def data_received(self, data: bytes) -> None:
        """A 204 has no body: its head is all there is."""
        self._heard += data
        if not self._heard.endswith(b"\r\n\r\n"):
            return
        status = self._heard[9:12]
        self._heard = b""
        if status != b"204":
            self._end(RuntimeError(f"answered {status.decode('latin-1')}"))
        elif self._transport is not None:
            self._next(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server may not end it first."""
        self._end(exc or ConnectionError("the server ended the connection"))

    def _next(self, transport: asyncio.Transport) -> None:
        request = next(self._requests, None)
        if request is None:
            self._end(None)
            transport.close()
        else:
            transport.write(request)

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


async def deliver(port: int, requests: Sequence[bytes], connections: int) -> float:
    """Deliver all requests over so many connections; return the seconds it took. Raises on any answer but 204."""
    loop = asyncio.get_running_loop()
    shared = iter(requests)
    began = loop.time()
    opened = [
        (await loop.create_connection(lambda: Connection(shared), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*(connection.ended for connection in opened))
    return loop.time() - began
