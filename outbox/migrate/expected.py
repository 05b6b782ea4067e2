"""What the fleet expects of the platform's tables: their columns, types and words.

Only columns that the fleet or its policies touch stand here; whatever else the owner's tables hold is none of its
business.
"""

from config.channels import Channel
from outbox.states import Status

Columns = dict[str, tuple[str, ...]]
"""Column → the types that serve. The first of several is the one that the platform's description names."""

TEXT = ("text", "character varying")
_UUID = ("uuid",)
_TIME = ("timestamp with time zone",)
_JSONB = ("jsonb",)
_INTEGER = ("integer", "bigint", "smallint")
_BOOLEAN = ("boolean",)
_NUMBER = ("numeric", *_INTEGER, "double precision", "real")
_COUNT = ("integer", "bigint", "numeric", "double precision")
"""A small integer ends at 32,767 messages, and a short float counts no further than 16 million."""
_TEXTS = ("text[]", "character varying[]", "jsonb")
_BOTH_KEYS: Columns = {"workspace_id": _UUID, "tenant_id": _UUID}

QUEUES = ("channel_outbox", "job_queue")
"""The tables whose rows the fleet changes."""

ADDED: dict[str, Columns] = {
    "channel_outbox": {
        "campaign_id": _UUID, "asset_id": _UUID, "priority": _INTEGER, "expires_at": _TIME, "attempts": _INTEGER,
        "attempts_forgiven": _INTEGER, "crashes": _INTEGER, "lease_token": _UUID, "lease_expires_at": _TIME,
        "send_key": _UUID, "sender": TEXT, "provider_message_id": TEXT, "error_class": TEXT, "error_code": TEXT,
        "error_message": TEXT, "finalized_at": _TIME, "poll_at": _TIME, "updated_at": _TIME,
    },
    "job_queue": {
        "unique_key": TEXT, "max_attempts": _INTEGER, "expires_at": _TIME, "lease_token": _UUID,
        "lease_expires_at": _TIME, "progress": _JSONB, "updated_at": _TIME,
    },
}  # fmt: skip
"""What the fleet adds to the queues."""

_CALL: Columns = {
    "id": _UUID, "tenant_id": _UUID, "phone_number_id": _UUID, "vapi_call_id": TEXT, "lead_id": _UUID,
    "direction": TEXT, "duration_seconds": _NUMBER, "transcript": TEXT, "summary": TEXT, "sentiment": TEXT,
    "status": TEXT, "created_at": _TIME,
}  # fmt: skip

COLUMNS: dict[str, Columns] = {
    "channel_outbox": {
        "id": _UUID, "workspace_id": _UUID, "tenant_id": _UUID, "channel": TEXT, "provider": TEXT,
        "recipient_id": _UUID, "recipient_email": TEXT, "recipient_phone": TEXT, "payload": _JSONB, "status": TEXT,
        "scheduled_at": _TIME, "sent_at": _TIME, "provider_response": _JSONB, "idempotency_key": TEXT,
        "created_at": _TIME, **ADDED["channel_outbox"],
    },
    "job_queue": {
        "id": _UUID, "workspace_id": _UUID, "job_type": TEXT, "payload": _JSONB, "status": TEXT, "priority": _INTEGER,
        "scheduled_at": _TIME, "started_at": _TIME, "completed_at": _TIME, "retry_count": _INTEGER,
        "error_message": TEXT, "created_at": _TIME, **ADDED["job_queue"],
    },
    "leads": {"id": _UUID, "workspace_id": _UUID, "email": TEXT, "phone": TEXT, "score": _NUMBER},
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
        "id": _UUID, "tenant_id": _UUID, "phone_number": TEXT, "provider": TEXT, "provider_id": TEXT,
        "is_active": _BOOLEAN,
    },
    "voice_call_records": _CALL,
    # Of the other tables, the keys by which their policies tell whose a row is, and what the dashboards add up.
    "workspaces": {"id": _UUID, "owner_id": _UUID},
    "workspace_members": {"workspace_id": _UUID, "user_id": _UUID},
    "user_tenants": {"tenant_id": _UUID, "user_id": _UUID},
    "user_roles": {"user_id": _UUID},
    "email_sequences": {"workspace_id": _UUID, "created_by": _UUID},
    "assets": {"workspace_id": _UUID, "created_by": _UUID},
    "asset_approvals": {},
    "business_profiles": {"workspace_id": _UUID},
    "content_calendar": {"workspace_id": _UUID},
    "campaigns": {"id": _UUID, "workspace_id": _UUID, "name": TEXT, "channel": TEXT, "status": TEXT},
    "campaign_metrics": {
        "id": _UUID, "campaign_id": _UUID, "impressions": _NUMBER, "clicks": _COUNT, "conversions": _NUMBER,
        "revenue": _NUMBER, "cost": _NUMBER, "sent_count": _COUNT, "delivered_count": _COUNT, "open_count": _COUNT,
        "bounce_count": _COUNT, "unsubscribe_count": _COUNT, "data_mode": TEXT, "last_synced_at": _TIME,
        "created_at": _TIME, "updated_at": _TIME,
    },
    "campaign_audit_log": {"campaign_id": _UUID},
    "cmo_campaigns": {"id": _UUID, **_BOTH_KEYS, "campaign_name": TEXT, "channels": _TEXTS, "status": TEXT},
    "cmo_brand_profiles": _BOTH_KEYS,
    "cmo_icp_segments": _BOTH_KEYS,
    "cmo_offers": _BOTH_KEYS,
    "cmo_marketing_plans": _BOTH_KEYS,
    "cmo_content_assets": _BOTH_KEYS,
    "cmo_funnels": _BOTH_KEYS,
    "voice_agents": _BOTH_KEYS,
    "ai_settings_social": {"tenant_id": _UUID},
    "deals": {"lead_id": _UUID, "value": _NUMBER, "probability": _NUMBER},
    "tasks": {"lead_id": _UUID},
    "cro_targets": {**_BOTH_KEYS, "target_new_arr": _NUMBER, "target_pipeline": _NUMBER},
    "cro_forecasts": {**_BOTH_KEYS, "forecast_new_arr": _NUMBER, "confidence": _NUMBER},
    "cro_deal_reviews": _BOTH_KEYS,
    "cro_recommendations": _BOTH_KEYS,
    "kernel_events": _BOTH_KEYS,
    "kernel_decisions": {},
    "kernel_actions": {},
    "industry_verticals": {},
}  # fmt: skip
"""Every table that the migrations make or change."""

READ = (
    *QUEUES, "workspaces", "leads", "crm_contacts", "voice_phone_numbers", "voice_call_records", "ai_settings_resend",
    "ai_settings_twilio", "ai_settings_voice", "ai_settings_social", "cmo_campaigns", "campaigns", "campaign_metrics",
)  # fmt: skip
"""The tables whose rows the fleet must see."""

VOCABULARIES: dict[tuple[str, str], tuple[str, ...]] = {
    ("channel_outbox", "status"): tuple(Status),
    ("channel_outbox", "channel"): tuple(Channel),
    ("job_queue", "status"): ("pending", "running", "completed", "failed"),
    ("voice_call_records", "direction"): ("inbound", "outbound"),
    ("voice_call_records", "status"): ("completed", "failed", "no_answer"),
}
"""Columns whose CHECK or enum must admit these words; `migrate` widens what does not."""

PLATFORM_STATUSES = frozenset({Status.SCHEDULED, Status.SENT, Status.DELIVERED, Status.FAILED})
"""The words of `channel_outbox.status` that the platform's description knows."""

NUMBERS: dict[tuple[str, str], int] = {
    ("channel_outbox", "attempts"): 0,
    ("channel_outbox", "attempts_forgiven"): 0,
    ("channel_outbox", "crashes"): 0,
    ("job_queue", "max_attempts"): 3,
}
"""Columns that the fleet calculates with and which must never be NULL, and their defaults."""

WRITTEN: dict[str, tuple[str, ...]] = {
    "channel_outbox": ("status", "scheduled_at", "sent_at", "provider_response", *ADDED["channel_outbox"]),
    "job_queue": (
        "status", "scheduled_at", "started_at", "completed_at", "retry_count", "error_message", *ADDED["job_queue"],
    ),
    "voice_call_records": tuple(_CALL),
    "campaigns": ("id", "workspace_id", "name", "channel", "status"),
    "campaign_metrics": (
        "sent_count", "delivered_count", "open_count", "clicks", "bounce_count", "unsubscribe_count", "data_mode",
        "last_synced_at", "updated_at",
    ),
}  # fmt: skip
"""Columns that the fleet writes."""

EMPTIED: dict[str, tuple[str, ...]] = {
    "channel_outbox": (
        "lease_token", "lease_expires_at", "expires_at", "error_class", "error_code", "error_message", "finalized_at",
        "poll_at",
    ),
    "job_queue": ("lease_token", "lease_expires_at", "error_message", "completed_at"),
    "voice_call_records": (
        "phone_number_id", "vapi_call_id", "lead_id", "duration_seconds", "transcript", "summary", "sentiment",
        "status",
    ),
}  # fmt: skip
"""Columns that the fleet sets to NULL."""

FREE_TEXT: dict[str, tuple[str, ...]] = {
    "channel_outbox": ("sender", "provider_message_id", "error_class", "error_code", "error_message"),
    "job_queue": ("error_message",),
    "voice_call_records": ("vapi_call_id", "transcript", "summary", "sentiment"),
}
"""Columns that take what vendors and people say, whatever its length and words."""
