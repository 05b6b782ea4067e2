"""The platform's tables as their owner describes them, and the way in which tests bring them about.

Written by hand from the description, so that the migrations are compared with the owner's word and not with themselves.
"""

from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from outbox.migrate.statements import split

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_FILES = sorted((ROOT / "migrations/platform").glob("*.sql"))

Database = psycopg.Connection[TupleRow]

_BOTH_TIMES = "timestamptz created_at updated_at"
_BOTH_KEYS = "uuid id workspace_id tenant_id"
TABLES = {
    "workspaces": f"uuid id owner_id, text name slug, jsonb settings, {_BOTH_TIMES}",
    "workspace_members": "uuid id workspace_id user_id, text role, timestamptz created_at",
    "user_tenants": "uuid id user_id tenant_id, text role, timestamptz created_at",
    "user_roles": "uuid id user_id, app_role role, timestamptz created_at",
    "business_profiles": "uuid id user_id workspace_id, text business_name business_description industry logo_url, "
    f"jsonb brand_colors brand_fonts target_audiences, {_BOTH_TIMES}",
    "leads": "uuid id workspace_id, text email phone first_name last_name company status source segment_code, "
    f"integer score, text[] tags, jsonb custom_fields, {_BOTH_TIMES}",
    "crm_contacts": "uuid id tenant_id, text email phone first_name last_name company_name role_title status "
    f"lifecycle_stage, {_BOTH_TIMES}",
    "deals": "uuid id lead_id owner_id created_by, text name stage notes, numeric value, integer probability, "
    f"date expected_close_date actual_close_date, {_BOTH_TIMES}",
    "tasks": "uuid id lead_id deal_id assigned_to created_by, text title description priority status, "
    f"timestamptz due_date completed_at, {_BOTH_TIMES}",
    "email_sequences": "uuid id workspace_id created_by, text name description status trigger_type, "
    f"integer total_steps enrolled_count completed_count, {_BOTH_TIMES}",
    "cmo_brand_profiles": f"{_BOTH_KEYS}, text business_name industry icp_description value_proposition brand_voice "
    f"brand_personality, text[] competitors differentiators, {_BOTH_TIMES}",
    "cmo_icp_segments": f"{_BOTH_KEYS}, text name segment_code description, jsonb firmographics psychographics, "
    f"text[] pain_points, integer priority_score, boolean is_active, {_BOTH_TIMES}",
    "cmo_offers": f"{_BOTH_KEYS}, text name description value_proposition pricing_model, "
    f"text[] target_segment_codes, {_BOTH_TIMES}",
    "cmo_marketing_plans": f"{_BOTH_KEYS}, text plan_name plan_summary status, jsonb goals kpis, "
    f"numeric budget_allocated, {_BOTH_TIMES}",
    "cmo_campaigns": f"{_BOTH_KEYS}, text campaign_name icp offer desired_result status, "
    f"text[] channels target_tags target_segment_codes, numeric budget_allocated, {_BOTH_TIMES}",
    "cmo_content_assets": f"{_BOTH_KEYS} campaign_id, text channel content_type key_message asset_url status, "
    f"{_BOTH_TIMES}",
    "cmo_funnels": f"{_BOTH_KEYS}, text funnel_name, jsonb stages conversion_targets, {_BOTH_TIMES}",
    "assets": "uuid id workspace_id segment_id created_by, asset_type type, asset_status status, text name description "
    "fal_id vapi_id external_id preview_url channel goal external_project_url custom_domain deployment_status, "
    f"jsonb content, integer views, {_BOTH_TIMES}",
    "asset_approvals": "uuid id asset_id approved_by, asset_status status, text comments, timestamptz created_at",
    "content_calendar": "uuid id workspace_id asset_id created_by, text title description content_type status, "
    f"timestamptz scheduled_date, {_BOTH_TIMES}",
    "campaigns": "uuid id workspace_id created_by, text name description channel status, numeric budget_allocated, "
    f"timestamptz deployed_at, {_BOTH_TIMES}",
    "campaign_metrics": "uuid id campaign_id, integer impressions clicks conversions sent_count delivered_count "
    "open_count bounce_count unsubscribe_count shares comments likes video_views, "
    f"numeric revenue cost engagement_rate, text data_mode, timestamptz last_synced_at, {_BOTH_TIMES}",
    "campaign_audit_log": "uuid id campaign_id changed_by, text action, jsonb changes, timestamptz created_at",
    "channel_outbox": f"{_BOTH_KEYS} recipient_id, text channel provider recipient_email recipient_phone status "
    "idempotency_key, jsonb payload provider_response, timestamptz scheduled_at sent_at created_at",
    "voice_agents": f"{_BOTH_KEYS} created_by, text name description vapi_assistant_id system_prompt voice_provider "
    f"voice_id status, {_BOTH_TIMES}",
    "voice_phone_numbers": "uuid id tenant_id, text phone_number provider provider_id assigned_to, boolean is_active, "
    f"{_BOTH_TIMES}",
    "voice_call_records": "uuid id tenant_id phone_number_id lead_id, text vapi_call_id direction transcript summary "
    "sentiment status, integer duration_seconds, timestamptz created_at",
    "ai_settings_resend": "uuid id tenant_id, text api_key_encrypted from_email from_name, boolean is_connected, "
    f"{_BOTH_TIMES}",
    "ai_settings_twilio": "uuid id tenant_id, text twilio_account_sid twilio_auth_token twilio_phone_number, "
    f"boolean is_connected, {_BOTH_TIMES}",
    "ai_settings_voice": "uuid id tenant_id, text vapi_private_key vapi_public_key default_vapi_assistant_id, "
    f"boolean is_connected, {_BOTH_TIMES}",
    "ai_settings_social": "uuid id tenant_id, text platform access_token_encrypted refresh_token_encrypted, "
    f"boolean is_connected, {_BOTH_TIMES}",
    "cro_targets": f"{_BOTH_KEYS}, text period owner_type owner_id, numeric target_new_arr target_pipeline, "
    f"{_BOTH_TIMES}",
    "cro_forecasts": f"{_BOTH_KEYS}, text period scenario notes, numeric forecast_new_arr confidence, {_BOTH_TIMES}",
    "cro_deal_reviews": f"{_BOTH_KEYS} deal_id, text summary_md risks next_steps, numeric score, {_BOTH_TIMES}",
    "cro_recommendations": f"{_BOTH_KEYS} deal_id lead_id, text rec_type priority title description status, "
    f"{_BOTH_TIMES}",
    "kernel_events": "bigint id, uuid tenant_id workspace_id, text event_type entity_type entity_id, "
    "jsonb payload metadata, timestamptz created_at",
    "kernel_decisions": "bigint id event_id, text rule_name decision_outcome reason, jsonb metadata, "
    "timestamptz created_at",
    "kernel_actions": "bigint id decision_id, text action_type status, jsonb result, "
    "timestamptz created_at completed_at",
    "job_queue": "uuid id workspace_id, text job_type status error_message, jsonb payload, integer priority "
    "retry_count, timestamptz scheduled_at started_at completed_at created_at",
    "industry_verticals": "uuid id, text name slug description, jsonb typical_icp sample_offers, "
    "text[] common_pain_points, timestamptz created_at",
}
"""For each table its types, each with the columns that have it."""


def described_columns() -> set[tuple[str, str, str]]:
    """Return (table, column, type) for every column."""
    groups = [(table, group.split()) for table, text in TABLES.items() for group in text.split(", ")]
    return {(table, name, words[0]) for table, words in groups for name in words[1:]}


def run_file(database: Database, path: Path) -> list[TupleRow]:
    """Run the statements of a file, each by itself; return the rows that they give."""
    rows: list[TupleRow] = []
    for statement in split(path.read_text(encoding="utf-8")):
        cursor = database.execute(statement.encode())
        rows += cursor.fetchall() if cursor.description else []
    return rows


def apply_platform(database: Database) -> None:
    """Run all files of the platform schema, as a migration does."""
    for path in PLATFORM_FILES:
        run_file(database, path)
