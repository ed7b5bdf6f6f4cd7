"""Settings from the environment (prefix ROSTERD_) and a .env file; every problem at once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from base64 import b64decode
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import UsageError
from domain.outbound import parse_allowed
from worker.adapters.networks import networks_of
from worker.adapters.vault import Vault

#: Where `rosterd up` leaves its address for the other commands.
PUBLIC_URL_FILE = "public_url"
#: How a worker command tells its pool children which lanes are theirs.
LANES_VARIABLE = "ROSTERD_WORKER_LANES"
#: How it tells its parent process where to serve the counters of all of them.
METRICS_PORT_VARIABLE = "ROSTERD_WORKER_METRICS_PORT"


#: A shared secret with which we sign.
LEAST_SECRET_BYTES = 24


class SettingsError(UsageError):
    """The environment holds values that make no sense; the message lists all of them."""


class Settings(BaseSettings):
    """Everything a process can be told. Secrets are never printed.

    data_dir: embedded database, broker and generated keys, for whatever has no URL of its own.
    """

    model_config = SettingsConfigDict(
        env_prefix="ROSTERD_", env_file=".env", extra="ignore", frozen=True
    )

    data_dir: Path = Path(".rosterd")
    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    given_public_url: str | None = Field(None, validation_alias="ROSTERD_PUBLIC_URL")
    smtp_url: SecretStr | None = None
    mail_from: str = "rosterd <rosterd@localhost>"
    mail_reply_to: str | None = None
    wrong_links_per_minute: float = Field(60, gt=0)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ("loopback",)
    log_format: str = Field("auto", pattern="^(auto|json|console)$")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    retention_days: int = Field(30, ge=1)
    sweep_seconds: float = Field(5.0, ge=0.1, le=300)
    stall_seconds: float = Field(120, ge=1)
    batch_size: int = Field(500, ge=1, le=5000)
    link_days: float = Field(14, gt=0)
    feed_cache_seconds: float = Field(2.0, ge=0)
    metrics_token: SecretStr | None = None
    api_rate: float = Field(50, gt=0)
    scim_rate: float = Field(500, gt=0)
    scim_max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024)
    outbound_allow: str = ""
    directory_seconds: float = Field(10, ge=0.1, le=60)
    session_idle_minutes: float = Field(120, ge=1)
    session_hours: float = Field(12, gt=0, le=24 * 30)
    alert_dead_per_hour: int = Field(20, ge=1)
    alert_suspension_seconds: float = Field(60, gt=0)
    alert_webhook_url: str | None = None
    alert_webhook_secret: SecretStr | None = None
    otlp_endpoint: str | None = None
    openid_issuer: str | None = None
    openid_client_id: str = ""
    openid_client_secret: SecretStr = SecretStr("")
    openid_claim: str = Field("email", min_length=1)
    openid_name: str = "your identity provider"

    @field_validator("database_url")
    @classmethod
    def _usable_url(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            backend = make_url(url.get_secret_value()).get_backend_name() if url else "sqlite"
        except (ArgumentError, ValueError):
            backend = ""
        if backend not in ("postgresql", "postgres", "sqlite"):
            # Not quoted: a password stands in it.
            raise ValueError("no database's URL: postgresql://user@host:5432/name, sqlite:///file")
        return url

    @field_validator("outbound_allow")
    @classmethod
    def _usable_networks(cls, text: str) -> str:
        try:
            parse_allowed(text)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return text

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return (
            tuple(k.strip() for k in value.split(",") if k.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("secret_keys")
    @classmethod
    def _usable_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for place, key in enumerate(keys, start=1):
            try:
                Vault([key.get_secret_value()])
            except ValueError as error:
                raise ValueError(f"key {place}: {error}") from None
        return keys

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _usable_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(proxies)
        return proxies

    @field_validator("alert_webhook_secret")
    @classmethod
    def _usable_hook_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            # Not quoted: it is a secret.
            raw = secret.get_secret_value().removeprefix("whsec_")
            if len(b64decode(raw, validate=True)) < LEAST_SECRET_BYTES:
                raise ValueError(f"whsec_ and the base64 of {LEAST_SECRET_BYTES} bytes or more")
        return secret

    @field_validator("openid_issuer")
    @classmethod
    def _usable_issuer(cls, issuer: str | None) -> str | None:
        if issuer is not None and urlsplit(issuer).scheme not in ("https", "http"):
            raise ValueError("no issuer: https://login.example.com, as it names itself")
        return issuer

    @field_validator("otlp_endpoint")
    @classmethod
    def _usable_endpoint(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in ("https", "http"):
            raise ValueError("no OTLP/HTTP endpoint: http://collector:4318")
        return url

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        hook = (self.alert_webhook_url, self.alert_webhook_secret)
        if len([part for part in hook if part is None]) == 1:
            raise ValueError(
                "ROSTERD_ALERT_WEBHOOK_URL and ROSTERD_ALERT_WEBHOOK_SECRET go together"
            )
        if (self.openid_issuer is None) != (not self.openid_client_id):
            raise ValueError("ROSTERD_OPENID_ISSUER and ROSTERD_OPENID_CLIENT_ID go together")
        return self

    @field_validator("mail_from", "mail_reply_to")
    @classmethod
    def _usable_mailbox(cls, mailbox: str | None) -> str | None:
        if mailbox is None:
            return None
        _, address = parseaddr(mailbox)
        if "@" not in address or not mailbox.isprintable():
            raise ValueError("no mailbox: name@example.com, or Name <name@example.com>")
        return mailbox

    def made_data_dir(self) -> Path:
        """The data directory, made for its owner only if need be; raises SettingsError."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            told = f"ROSTERD_DATA_DIR: {self.data_dir} cannot be made: {error.strerror}"
            raise SettingsError(told) from error
        return self.data_dir

    @property
    def public_url(self) -> str:
        """How the world reaches the web process; `rosterd up` leaves it in the data directory."""
        told = self.data_dir / PUBLIC_URL_FILE
        if self.given_public_url is not None:
            return self.given_public_url
        return told.read_text().strip() if told.exists() else "http://127.0.0.1:8080"

    @property
    def is_embedded_database(self) -> bool:
        """Whether SQLite in the data directory is used."""
        return self.database_url is None

    @property
    def is_embedded_broker(self) -> bool:
        """Whether Valkey on a Unix socket is used."""
        return self.broker_url is None

    @property
    def database(self) -> str:
        """URL of the database, the embedded one if none is given."""
        if self.database_url is not None:
            return _with_driver(self.database_url.get_secret_value())
        return f"sqlite:///{self.data_dir.resolve() / 'rosterd.db'}"

    @property
    def broker_socket(self) -> Path:
        """Socket of the embedded broker: a short path of its own, for its owner only."""
        name = hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-{name}" / "valkey.sock"

    @property
    def broker(self) -> str:
        """URL of the broker, the embedded one if none is given."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        return f"redis+socket://{self.broker_socket}"

    @property
    def effective_batch_size(self) -> int:
        """SQLite has one writer: shorter batches let others in (D14)."""
        return (
            self.batch_size if not self.database.startswith("sqlite") else min(self.batch_size, 100)
        )

    @property
    def session_idle(self) -> timedelta:
        """How long an operator stays signed in unseen."""
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def session_life(self) -> timedelta:
        """How long an operator stays signed in at all."""
        return timedelta(hours=self.session_hours)

    @property
    def link_life(self) -> timedelta:
        """How long a member's link is good for (E6)."""
        return timedelta(days=self.link_days)


def _with_driver(url: str) -> str:
    """Psycopg 3 is the driver, however the URL spells PostgreSQL."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _named(place: tuple[int | str, ...]) -> str:
    """The variable of a problem; some concern several, and name them."""
    return f"ROSTERD_{str(place[0]).upper()}" if place else "settings"


def load_settings(**overrides: object) -> Settings:
    """Settings of this process; raises SettingsError with one line per problem."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"{_named(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from error
