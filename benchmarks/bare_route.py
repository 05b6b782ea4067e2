"""The receiver's yardstick: a route of the same framework under the same server that does nothing.

`uvicorn benchmarks.bare_route:app`
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def nothing(_request: Request) -> Response:
    """Answer, and look at nothing."""
    return Response(status_code=204)


app = Starlette(routes=[Route("/webhooks/{provider}/{tenant_id:uuid}", nothing, methods=["POST"])])
