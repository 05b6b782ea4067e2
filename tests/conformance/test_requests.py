"""What every provider owes: from its sample payloads to requests that its vendor's OpenAPI file allows.

A provider of the catalog without samples or without its page in docs/providers/ fails here by name.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from config.catalog import CATALOG, served_channels
from config.channels import CHANNELS
from providers import registry
from providers.base import Rejected, Request
from tests.conformance.openapi import FILES, FORM, JSON, Spec, needs_specs
from tests.samples import FOLDER, Sample, samples_of
from tests.vendors import PROVIDERS, SEND_KEY, STAND_IN_URL, account_of, message_of, request_of

ROOT = Path(__file__).resolve().parents[2]


SAMPLES = [sample for provider in CATALOG for sample in samples_of(provider)]
each_provider = pytest.mark.parametrize("provider", CATALOG)
each_accepted = pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.refused is None],
    ids=lambda sample: f"{sample.provider}-{sample.name}",
)
each_refused = pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if sample.refused], ids=lambda sample: f"{sample.provider}-{sample.name}"
)


def wrong_in(provider: str, request: Request) -> list[str]:
    """What the vendor's file says against a request, its path and the type of its body included."""
    content_type = request.headers["Content-Type"]
    readers: Mapping[str, Callable[[bytes], Any]] = {JSON: json.loads, FORM: read_form}
    body = readers[content_type](request.body)
    return Spec.of(provider).request_errors("POST", request.url.removeprefix(STAND_IN_URL), content_type, body)


def read_form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")


def described(provider: str) -> None:
    if provider not in FILES:
        pytest.skip(f"{provider} publishes no OpenAPI file")


@each_provider
def test_a_provider_has_samples_for_each_of_its_channels_and_refused_ones(provider: str) -> None:
    samples = samples_of(provider)
    accepted = {sample.channel for sample in samples if sample.refused is None}
    assert accepted == set(CATALOG[provider].channels), f"add files under {FOLDER.relative_to(ROOT)}/{provider}/"
    assert any(sample.refused for sample in samples), f"{provider} has no sample that is refused"


@each_provider
def test_a_provider_has_a_page_for_those_who_run_it(provider: str) -> None:
    page = ROOT / "docs" / "providers" / f"{provider}.md"
    assert page.is_file(), f"write docs/providers/{provider}.md"
    environment = PROVIDERS[provider].environment
    prefix = environment.model_config.get("env_prefix", "")
    missing = {f"{prefix}{name}".upper() for name in environment.model_fields} - set(page.read_text().split("`"))
    assert not missing, "the page does not explain these variables"


@each_provider
def test_the_catalog_and_the_module_agree(provider: str) -> None:
    facts = CATALOG[provider]
    assert PROVIDERS[provider].name == facts.name == provider
    assert registry.load([provider]).keys() == {provider}
    variables = {f"{provider}_{name}".upper() for name in PROVIDERS[provider].environment.model_fields}
    assert {facts.key_variable, facts.url_variable} <= variables


def test_a_channel_that_is_served_is_served_by_its_default_provider() -> None:
    for channel in served_channels():
        assert channel in CATALOG[CHANNELS[channel].default_provider].channels


@needs_specs
@each_accepted
def test_a_message_alone_is_a_request_that_the_vendors_file_allows(sample: Sample) -> None:
    described(sample.provider)
    assert wrong_in(sample.provider, request_of(sample.provider, sample.message())) == []


@needs_specs
@each_accepted
def test_a_message_that_asks_for_callbacks_is_allowed_too(sample: Sample) -> None:
    described(sample.provider)
    reached = replace(account_of(sample.provider), webhook_url="http://127.0.0.1:8000/webhooks/vendor/tenant")
    assert wrong_in(sample.provider, request_of(sample.provider, sample.message(), account=reached)) == []


@needs_specs
@pytest.mark.parametrize("provider", [name for name, facts in CATALOG.items() if facts.request_size > 1])
@pytest.mark.parametrize("full", [False, True], ids=["samples", "full"])
def test_messages_together_are_a_request_that_the_vendors_file_allows(provider: str, full: bool) -> None:
    described(provider)
    samples = [sample for sample in samples_of(provider) if sample.refused is None and sample.part().batchable]
    chosen = (samples * CATALOG[provider].request_size)[: CATALOG[provider].request_size if full else len(samples)]
    request = request_of(provider, *(sample.message(number) for number, sample in enumerate(chosen)))
    assert wrong_in(provider, request) == []
    bodies = json.loads(request.body)
    assert len(bodies) == len(chosen) == len(set(request.message_ids))
    for body, sample, number in zip(bodies, chosen, range(len(chosen)), strict=True):
        assert body == json.loads(sample.part(number).body), "a message is the same alone and among others"


@each_accepted
def test_a_request_proves_who_asks_and_carries_the_key_where_the_vendor_honours_it(sample: Sample) -> None:
    request = request_of(sample.provider, sample.message())
    scheme, _, secret = request.headers["Authorization"].partition(" ")
    assert scheme in {"Bearer", "Basic"}
    assert secret
    assert (str(SEND_KEY) in request.headers.values()) == CATALOG[sample.provider].idempotent
    assert secret not in repr(request)
    assert secret not in repr(account_of(sample.provider))


@each_accepted
def test_the_same_arguments_make_the_same_bytes(sample: Sample) -> None:
    first, again = (registry.load([sample.provider])[sample.provider] for _ in range(2))
    account, message = account_of(sample.provider), sample.message()
    part = first.render(message, account)
    assert part == again.render(message, account)
    made = first.request(part.body, part.path, [message.id], account, SEND_KEY)
    assert made == again.request(part.body, part.path, [message.id], account, SEND_KEY)
    assert made.message_ids == (message.id,)
    assert made.url.startswith(f"{STAND_IN_URL}/")


@each_provider
def test_another_send_key_changes_only_what_marks_the_attempt(provider: str) -> None:
    sample = next(sample for sample in samples_of(provider) if sample.refused is None)
    message = message_of(sample.channel, sample.payload, sample.address, send_key=UUID(int=7))
    other = PROVIDERS[provider].render(message, account_of(provider)).body.decode()
    for ours, theirs in ((message.send_key, SEND_KEY), (message.attempt_id, sample.message().attempt_id)):
        other = other.replace(str(ours), str(theirs))
    assert other == sample.part().body.decode()


@each_refused
def test_a_refused_payload_names_its_field_and_shows_nothing_of_it(sample: Sample) -> None:
    with pytest.raises(Rejected) as refused:
        sample.part()
    assert refused.value.code == sample.refused
    assert "payload" in refused.value.reason
    assert sample.address not in refused.value.reason
    for value in sample.payload.values():
        assert str(value) not in refused.value.reason or not str(value).strip()


def test_resend_takes_its_key_and_the_permissive_mode_only_for_several_mails() -> None:
    mail = {"subject": "Hello", "text": "Hello"}
    alone = request_of("resend", message_of("email", mail))
    together = request_of("resend", *(message_of("email", mail, number=number) for number in range(2)))
    assert (alone.url, together.url) == (f"{STAND_IN_URL}/emails", f"{STAND_IN_URL}/emails/batch")
    assert alone.headers == {
        "Authorization": "Bearer simulated",
        "Content-Type": JSON,
        "Idempotency-Key": str(SEND_KEY),
    }
    assert together.headers == {**alone.headers, "x-batch-validation": "permissive"}


@needs_specs
@pytest.mark.parametrize("sample", [one for one in samples_of("resend") if not one.refused], ids=lambda one: one.name)
def test_a_campaigns_mail_with_its_link_is_allowed_and_the_same_each_time(sample: Sample) -> None:
    url = "https://fleet.acme.io/unsubscribe/" + "x" * 200
    message = replace(sample.message(), unsubscribe_url=url)
    request = request_of("resend", message)
    assert wrong_in("resend", request) == []
    assert request == request_of("resend", message)
    ours = {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    of_payload = sample.payload.get("headers", {})
    expected = of_payload if "List-Unsubscribe" in of_payload else {**of_payload, **ours}
    assert json.loads(request.body)["headers"] == expected


@each_accepted
def test_what_is_the_fleets_own_in_a_payload_reaches_no_vendor(sample: Sample) -> None:
    """`stop_on_reply` is read by the ledger alone, whatever it holds."""
    message, account = sample.message(), account_of(sample.provider)
    for value in (True, False, "true", {"deep": [1]}):
        marked = replace(message, payload={**message.payload, "stop_on_reply": value})
        assert PROVIDERS[sample.provider].render(marked, account) == sample.part()
