"""The one HTTP client: a pool of connections to all vendors, and what a broken connection means.

Refuses to retry a send, to follow redirects and to keep cookies: a retry is a second message, a redirect leads a secret
elsewhere, a cookie carries one tenant's session into another's request. A GET sends nothing; aiohttp repeats it once
where its connection was cut off.
"""

import aiohttp
from yarl import URL

from providers.base import Later, Request, Response, Unknown

BODY_LIMIT_BYTES = 1_048_576
"""No vendor's answer to a send is larger; what is longer is cut and then cannot be read as an acceptance."""
IDLE_SECONDS = 4.0
"""Shorter than servers keep an idle connection (5 s is the shortest common default): a request written on one that
the server has just closed would be unknown."""
CONNECT_SECONDS = 5.0


class Client:
    """A pool of `connections`. Open it on the loop that uses it; as many requests as connections may be under way."""

    def __init__(self, *, connections: int, timeout_seconds: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=60),
            timeout=_timeout(timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "delivery-fleet"},
            auto_decompress=True,
        )

    async def send(self, request: Request) -> Response:
        """Send one request. Raises Later where nothing can have left, Unknown where it may have arrived."""
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as answer:
                body = await _body(answer)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # An outage of the network says nothing of the message, which must outlast it with its budget untouched.
            reason = f"no connection to the vendor: {type(error).__name__}"
            raise Later("not_connected", reason, counted=False) from error
        except TimeoutError as error:
            raise Unknown("timeout", "the vendor did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unknown("connection_lost", f"the connection broke: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close every connection, also those under way."""
        await self._session.close()


def _timeout(total_seconds: float) -> aiohttp.ClientTimeout:
    """By default aiohttp rounds a timeout over 5 s up to a whole second: the request would outlast its lease."""
    connect_seconds = min(CONNECT_SECONDS, total_seconds)
    return aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds, ceil_threshold=total_seconds)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            break
    return bytes(body[:BODY_LIMIT_BYTES])
