"""What the fleet expects of the columns it reads or writes in the platform's schema, and of the words in them.

Only columns that the fleet touches stand here; whatever else the owner's tables hold is none of its business.
"""

from config.channels import Channel
from outbox.states import Status

TEXT = ("text", "character varying")
_UUID = ("uuid",)
_TIME = ("timestamp with time zone",)
_JSONB = ("jsonb",)
_INTEGER = ("integer", "bigint", "smallint")
_BOOLEAN = ("boolean",)

# The first of several is the one that the platform's description names.
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "channel_outbox": {
        "id": _UUID, "workspace_id": _UUID, "tenant_id": _UUID, "channel": TEXT, "provider": TEXT,
        "recipient_id": _UUID, "recipient_email": TEXT, "recipient_phone": TEXT, "payload": _JSONB, "status": TEXT,
        "scheduled_at": _TIME, "sent_at": _TIME, "provider_response": _JSONB, "idempotency_key": TEXT,
        "created_at": _TIME,
        "campaign_id": _UUID, "asset_id": _UUID, "priority": _INTEGER, "expires_at": _TIME, "attempts": _INTEGER,
        "attempts_forgiven": _INTEGER, "lease_token": _UUID, "lease_expires_at": _TIME, "send_key": _UUID,
        "sender": TEXT, "provider_message_id": TEXT, "error_class": TEXT, "error_code": TEXT, "error_message": TEXT,
        "finalized_at": _TIME, "updated_at": _TIME,
    },
    "job_queue": {
        "id": _UUID, "job_type": TEXT, "payload": _JSONB, "status": TEXT, "priority": _INTEGER, "scheduled_at": _TIME,
        "started_at": _TIME, "completed_at": _TIME, "retry_count": _INTEGER, "error_message": TEXT,
        "created_at": _TIME,
        "workspace_id": _UUID, "unique_key": TEXT, "max_attempts": _INTEGER, "expires_at": _TIME,
        "lease_token": _UUID, "lease_expires_at": _TIME, "progress": _JSONB, "updated_at": _TIME,
    },
    "leads": {"id": _UUID, "workspace_id": _UUID, "email": TEXT, "phone": TEXT},
    "crm_contacts": {"id": _UUID, "tenant_id": _UUID, "email": TEXT, "phone": TEXT},
    "ai_settings_resend": {
        "tenant_id": _UUID, "api_key_encrypted": TEXT, "from_email": TEXT, "from_name": TEXT, "is_connected": _BOOLEAN,
    },
    "ai_settings_twilio": {
        "tenant_id": _UUID, "twilio_account_sid": TEXT, "twilio_auth_token": TEXT, "twilio_phone_number": TEXT,
        "is_connected": _BOOLEAN,
    },
    "ai_settings_voice": {
        "tenant_id": _UUID, "vapi_private_key": TEXT, "default_vapi_assistant_id": TEXT, "is_connected": _BOOLEAN,
    },
    "voice_phone_numbers": {
        "tenant_id": _UUID, "phone_number": TEXT, "provider": TEXT, "provider_id": TEXT, "is_active": _BOOLEAN,
    },
}  # fmt: skip

VOCABULARIES: dict[tuple[str, str], tuple[str, ...]] = {
    ("channel_outbox", "status"): tuple(Status),
    ("channel_outbox", "channel"): tuple(Channel),
    ("job_queue", "status"): ("pending", "running", "completed", "failed"),
}
"""Columns whose CHECK or enum must admit these words; `migrate` widens what does not."""
