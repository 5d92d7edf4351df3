"""Settings from the environment (`GATEWAY_...`) or a `.env` file; `docs/settings.md` describes each."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")

MOST = 1_000_000
"""Of what is counted, and as good as no limit: larger numbers fit into no counter of the database."""

LONGEST = 36_500.0
"""Days, a hundred years: later dates cannot be stored."""


class Settings(BaseSettings):
    """What an operator may set. Wrong values stop the start, with a sentence for each."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="ignore", frozen=True)

    database_url: str = ""
    """`sqlite:///PATH` or `postgresql://USER@HOST/NAME`; a SQLite file in the data directory by default."""

    personas: Path = Path("personas.yaml")
    """The file of personas, providers and models."""

    data_dir: Path = Path("data")
    """Where the SQLite file and the master key live; made at the first start."""

    master_key: SecretStr | None = None
    """Comma-separated base64 keys of 32 bytes that seal the provider keys, the first for new ones; a file in the
    data directory by default."""

    signup: Literal["open", "closed"] | None = None
    """Whether strangers may sign up; open on loopback and closed elsewhere by default."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = LOOPBACK_NAMES
    """Host names that requests may name, comma-separated, against DNS rebinding; `*` allows all."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of browser frontends elsewhere, comma-separated; never `*`."""

    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses of reverse proxies whose `X-Forwarded-For` is believed, comma-separated."""

    turns_per_minute: Annotated[int, Field(ge=1, le=MOST)] = 20
    """Turns that one person may ask a minute, and at once; those that are refused are counted by themselves."""

    writes_per_minute: Annotated[int, Field(ge=1, le=MOST)] = 120
    """Writes that one person may make a minute, and at once, besides turns."""

    concurrent_turns: Annotated[int, Field(ge=1, le=MOST)] = 3
    """Turns of one person that may run at a time."""

    open_streams: Annotated[int, Field(ge=1, le=MOST)] = 8
    """Event streams, and requests that wait for a reply, that one person may hold open at a time."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 262_144
    """Bytes of a request's body; a longer one is answered 413."""

    max_unattended: Annotated[float, Field(gt=0)] = 300.0
    """Seconds that a turn goes on while nobody reads it; then it is stopped."""

    drain_seconds: Annotated[float, Field(ge=0, le=MOST)] = 25.0
    """Seconds that running turns get to end when the gateway is asked to stop."""

    login_idle_days: Annotated[float, Field(gt=0, le=LONGEST)] = 7.0
    """Days after which an unused login ends."""

    login_days: Annotated[float, Field(gt=0, le=LONGEST)] = 30.0
    """Days after which any login ends."""

    local_model: Path | None = None
    """A GGUF file for the local model, in place of the small one that is installed."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log records that are written."""

    @field_validator("allowed_hosts", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _no_wildcard(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("GATEWAY_CORS_ORIGINS may not be '*': name the origins, like https://chat.example.org")
        return value

    @property
    def database_address(self) -> str:
        """The database's address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'gateway.db'}"


def is_loopback(host: str) -> bool:
    """Whether a server bound to this host is reached from its own machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class FolderRefused(ValueError):
    """The folder for data cannot be used; the message says why, and what to do."""


def make_private(folder: Path) -> None:
    """Make a folder that only its owner looks into; one that is there already stays as it is.

    Raises `FolderRefused`.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderRefused(
            f"{str(folder)[:200]} cannot be made, or is no folder ({error.strerror}). "
            "Set GATEWAY_DATA_DIR to a folder that the gateway may write to."
        ) from None


def is_private(folder: Path) -> bool:
    """Whether only its owner looks into a folder that is there."""
    return not folder.stat().st_mode & 0o077
