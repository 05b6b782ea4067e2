"""What Resend's error names mean, as data.

Source: resend.com/docs/api-reference/errors. A name that stands for several things is looked up with its status. What
Resend may have sent under our key is unknown until the key answers; an unknown name goes by its HTTP status.
"""

from providers.answers import ErrorTable
from providers.base import Halted, Later, Rejected, Unknown

ERRORS: ErrorTable = {
    "concurrent_idempotent_requests": (Unknown, "the same request is being processed"),
    "invalid_idempotent_request": (Unknown, "the key was used for another body: a mail has probably gone out"),
    "invalid_idempotency_key": (Rejected, "the key was refused"),
    "missing_required_field": (Rejected, "complete the payload"),
    "invalid_from_address": (Halted, "correct payload.from or the sender in the settings"),
    "invalid_attachment": (Rejected, "correct payload.attachments"),
    "invalid_parameter": (Rejected, "correct the payload"),
    "invalid_access": (Rejected, "the request is not allowed"),
    "invalid_region": (Rejected, "the region is not allowed"),
    "not_found": (Halted, "the address of the API is wrong"),
    "method_not_allowed": (Halted, "the address of the API is wrong"),
    (400, "validation_error"): (Rejected, "correct the payload"),
    (422, "validation_error"): (Rejected, "correct the payload"),
    (403, "validation_error"): (Halted, "verify the sender's domain at Resend"),
    "missing_api_key": (Halted, "the API key is missing"),
    "restricted_api_key": (Halted, "the API key may not send"),
    "invalid_api_key": (Halted, "the API key is wrong or was revoked"),
    "security_error": (Halted, "Resend blocked the account; ask its support"),
    "rate_limit_exceeded": (Later, "too many requests a second for the account"),
    "daily_quota_exceeded": (Halted, "the day's quota is used up"),
    "monthly_quota_exceeded": (Halted, "the month's quota is used up; upgrade the plan"),
    "application_error": (Unknown, ""),
    "internal_server_error": (Unknown, ""),
}
SENDER_ERRORS = frozenset({"validation_error", "invalid_from_address"})
"""Those of them that halt an account for its sender; a sender in the payload is the fault of its message alone."""
