"""Resend as every part of it behaves: who asks, what errors look like, what the rate limit tells.

Follows resend.com/docs/api-reference/errors and /docs/api-reference/rate-limit. Refuses to know any path: sending is
in `simulator.resend_send`, asking in `simulator.resend_read`.
"""

from typing import Any

from aiohttp import web

from simulator.accounts import bearer_account
from simulator.ratelimit import Verdict
from simulator.vendor import Refusal, Vendor

EMAIL = "email"
"""The kind of everything that Resend accepts here."""


class Resend(Vendor):
    """What the parts of Resend have in common."""

    name = "resend"

    def account(self, request: web.Request) -> str:
        """Name the team by its key."""
        authorization = request.headers.get("Authorization")
        if not authorization:
            raise Refusal(401, "missing_api_key", "Missing API key in the Authorization header.")
        account = bearer_account(authorization)
        if account is None:
            raise Refusal(403, "invalid_api_key", "The API key is not valid.")
        return account

    def error(self, refusal: Refusal) -> dict[str, Any]:
        """Name the status, the error and the reason."""
        return {"statusCode": refusal.status, "name": refusal.code, "message": refusal.message}

    def too_many(self, retry_after_seconds: float | None, verdict: Verdict | None) -> Refusal:
        """Return `rate_limit_exceeded`; Resend always says when to come back."""
        wait_seconds = verdict.retry_after_seconds if verdict else 1
        if retry_after_seconds is not None:
            wait_seconds = round(retry_after_seconds)
        headers = self.limit_headers(verdict or Verdict(False, 5, 0, wait_seconds, wait_seconds))
        headers["retry-after"] = str(wait_seconds)
        return Refusal(429, "rate_limit_exceeded", "Too many requests.", headers)

    def server_error(self) -> Refusal:
        """Return `internal_server_error`."""
        return Refusal(500, "internal_server_error", "An unexpected error occurred.")

    def limit_headers(self, verdict: Verdict) -> dict[str, str]:
        """Tell limit, remaining requests and seconds to the reset."""
        return {
            "ratelimit-limit": str(verdict.limit),
            "ratelimit-remaining": str(verdict.remaining),
            "ratelimit-reset": str(verdict.reset_seconds),
        }
