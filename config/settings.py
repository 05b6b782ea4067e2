"""The settings of a process: read from the environment once, validated together, never changed afterwards.

Owns every variable that is not a vendor's; a vendor's own variables stand in its module as a `VendorSettings`.
Refuses to start a process half configured: every problem is in one report, and an unknown `FLEET_*` is a problem.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from config import failpoints, late, secret_keys
from config.catalog import BUNDLE_SIZE_LIMIT
from config.channels import Channel
from config.seal import Keyring

PREFIX = "FLEET_"
_ROOT = Path(__file__).resolve().parent.parent
_POSTGRES_SCHEMES = ("postgres://", "postgresql://")
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class SettingsError(Exception):
    """The environment cannot be used; `problems` has one sentence for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the environment cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))


def _scheme_in(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(schemes):
            raise ValueError(f"must start with {' or '.join(schemes)}")
        return value

    return AfterValidator(check)


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    # A path is put behind it, and it is shown: nothing may follow it, and it may carry no password.
    if not usable or any(character in value for character in "@?#\\") or not value.isprintable() or " " in value:
        raise ValueError("must be a plain http:// or https:// address, without user, password, query and fragment")
    return value.rstrip("/")


def _keyring(value: SecretStr) -> SecretStr:
    Keyring.parse(value.get_secret_value())
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    secret_keys.parse(value.get_secret_value())
    return value


def _failpoint(value: str) -> str:
    failpoints.parse(value)
    return value


def _late_policy(value: str) -> str:
    late.parse(value)
    return value


DatabaseUrl = Annotated[SecretStr, _scheme_in(*_POSTGRES_SCHEMES)]
RedisUrl = Annotated[SecretStr, _scheme_in(*_REDIS_SCHEMES)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class _Environment(BaseSettings):
    """Reads nothing but the mapping it is given. A URL with a password is a secret and masked in print."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(_environ=dict(environ))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the sources by the one mapping, so that a test never reads the developer's own environment."""
        source = EnvSettingsSource(settings_cls, env_ignore_empty=True)
        given: dict[str, Any] = init_settings()
        source.env_vars = {name.lower(): value for name, value in given.pop("_environ").items() if value != ""}
        return (source,)


class VendorSettings(_Environment):
    """A vendor's credentials and address from the environment; each vendor's module derives its own."""


class Settings(_Environment):
    """Every variable of the fleet itself; `.env.example` explains them to people."""

    database_url: DatabaseUrl | None = None
    database_listen_url: DatabaseUrl | None = None
    database_pooler: Literal["none", "transaction"] = "none"
    redis_url: RedisUrl | None = None
    sentry_dsn: SecretStr | None = None
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    log_format: Literal["console", "json"] | None = None

    home: Path = Field(default=_ROOT / ".fleet", validation_alias="FLEET_HOME")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", validation_alias="FLEET_LOG_LEVEL")
    lease_seconds: float = Field(60.0, ge=1, le=3600, validation_alias="FLEET_LEASE_SECONDS")
    drain_seconds: float = Field(25.0, ge=0, le=600, validation_alias="FLEET_DRAIN_SECONDS")
    worker_threads: int = Field(4, ge=1, le=64, validation_alias="FLEET_WORKER_THREADS")
    batch_size: int = Field(BUNDLE_SIZE_LIMIT, ge=1, le=BUNDLE_SIZE_LIMIT, validation_alias="FLEET_BATCH_SIZE")
    retry_base_seconds: float | None = Field(None, gt=0, validation_alias="FLEET_RETRY_BASE_SECONDS")
    retry_max_attempts: int | None = Field(None, ge=1, le=100, validation_alias="FLEET_RETRY_MAX_ATTEMPTS")
    late_after: Annotated[str, AfterValidator(_late_policy)] = Field("", validation_alias="FLEET_LATE_AFTER_SECONDS")
    public_url: WebAddress | None = Field(None, validation_alias="FLEET_PUBLIC_URL")
    encryption_keys: Annotated[SecretStr, AfterValidator(_keyring)] | None = Field(
        None, validation_alias="FLEET_ENCRYPTION_KEYS"
    )
    default_limits: Literal["on", "off"] = Field("on", validation_alias="FLEET_DEFAULT_LIMITS")
    reconcile_grace_seconds: float = Field(60.0, ge=0, validation_alias="FLEET_RECONCILE_GRACE_SECONDS")
    reconcile_horizon_seconds: float = Field(900.0, ge=0, validation_alias="FLEET_RECONCILE_HORIZON_SECONDS")
    resend_after_absent: Annotated[frozenset[Channel], NoDecode] = Field(
        frozenset(Channel), validation_alias="FLEET_RESEND_AFTER_ABSENT"
    )
    secret_key: Annotated[SecretStr, AfterValidator(_secret_key)] | None = Field(
        None, validation_alias="FLEET_SECRET_KEY"
    )
    console_auth: str | None = Field(None, validation_alias="FLEET_CONSOLE_AUTH")
    allowed_recipients: str | None = Field(None, validation_alias="FLEET_ALLOWED_RECIPIENTS")
    failpoint: Annotated[str, AfterValidator(_failpoint)] | None = Field(None, validation_alias="FLEET_FAILPOINT")

    @field_validator("resend_after_absent", mode="before")
    @classmethod
    def _channels(cls, value: Any) -> Any:
        """Read `on`, `off`, or the channels for which it is on."""
        if not isinstance(value, str):
            return value
        named = {"on": list(Channel), "off": []}.get(value, [name.strip() for name in value.split(",")])
        if unknown := sorted(set(named) - set(Channel)):
            raise ValueError(f"must be on, off or channels such as sms,voice; there is no {', '.join(unknown)}")
        return frozenset(map(Channel, named))

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def keyring(self) -> Keyring:
        """The keys that open sealed credentials; empty where none are configured."""
        return Keyring.parse(self.encryption_keys.get_secret_value() if self.encryption_keys else "")

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys of FLEET_SECRET_KEY, the newest first; empty where it is not set."""
        return secret_keys.parse(self.secret_key.get_secret_value()) if self.secret_key else ()

    @property
    def late_after_seconds(self) -> Mapping[Channel, float]:
        """By channel: how long after its time a message may still go out; without an entry, however late."""
        return late.parse(self.late_after)

    @property
    def lease_margin_seconds(self) -> float:
        """How much earlier than the database a process takes its own lease for lost: its clock may run slower."""
        return min(2.0, self.lease_seconds / 10)

    @property
    def request_timeout_seconds(self) -> float:
        """How long one request to a vendor may take: no longer than what must be left of its lease when it begins."""
        return min(15.0, self.lease_seconds / 4)


_Kind = TypeVar("_Kind", bound=_Environment)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the fleet's own settings. Raises `SettingsError` with all their problems."""
    return load_together(environ)[0]


def load_together(
    environ: Mapping[str, str] | None = None, vendors: Sequence[type[VendorSettings]] = ()
) -> tuple[Settings, tuple[VendorSettings, ...]]:
    """Read the fleet's settings and those of `vendors` from `environ` (default: the process's own).

    Raises `SettingsError` with the problems of all of them, so that a person mends the environment once.
    """
    environ = os.environ if environ is None else environ
    problems = _unknown_variables(environ)
    settings = _read(Settings, environ, problems)
    of_vendors = [_read(kind, environ, problems) for kind in vendors]
    if problems or settings is None:
        raise SettingsError(problems)
    return settings, tuple(one for one in of_vendors if one is not None)


def _read(kind: type[_Kind], environ: Mapping[str, str], problems: list[str]) -> _Kind | None:
    try:
        return kind(environ)
    except ValidationError as invalid:
        problems.extend(_sentence(kind, error) for error in invalid.errors(include_input=False))
        return None


def _sentence(kind: type[_Environment], error: ErrorDetails) -> str:
    name = str(error["loc"][0])
    prefix = kind.model_config.get("env_prefix", "") if name in kind.model_fields else ""
    return f"{prefix}{name}".upper() + ": " + error["msg"].removeprefix("Value error, ")


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()}
    strangers = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [f"{name}: no such setting (.env.example lists them all)" for name in strangers]
