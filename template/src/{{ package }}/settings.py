"""The configuration of the service: one frozen class, and the only module that reads the environment.

A variable is given in one of three places: as `NAME`, in the file that `NAME_FILE` names, or in the file `NAME` below
`SECRETS_DIR`. More than one of them is an error, and an empty value counts as not given.
"""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class ConfigurationError(Exception):
    """The environment does not describe a service that can run.

    `problems` maps each bad variable to what is wrong with it; no text in it holds a value.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        lines = (f"  {variable} {problem}" for variable, problem in problems.items())
        super().__init__("\n".join(("configuration error", *lines)))


class Unit(NamedTuple):
    """The unit in which a number is given."""

    name: str


def _postgres_url(secret: SecretStr) -> SecretStr:
    from psycopg.conninfo import conninfo_to_dict  # slow to import, and not every command needs it

    url = secret.get_secret_value()
    try:
        conninfo_to_dict(url)
        parts = urlsplit(url)
        usable = parts.scheme in {"postgresql", "postgres"} and parts.hostname and parts.port != 0
        # A path, and no doubt about where the password ends.
        usable = usable and len(parts.path) > 1 and parts.netloc.count("@") == url.count("@") <= 1
    except Exception:  # whatever it is, its text may quote a piece of the password
        usable = False
    if not usable or re.search(r"[^!-~]|%(?![0-9A-Fa-f]{2})", url):
        raise ValueError(
            "must be postgresql://user:password@host:5432/name, with special characters in the password percent-encoded"
        )
    return secret


def _addresses(text: str) -> str:
    for address in text.split(","):
        try:
            if address.strip() != "*":
                ip_network(address.strip())
        except ValueError:
            raise ValueError("must be addresses or networks such as 10.0.0.0/8, with commas between, or *") from None
    return text


def _searchable(folder: Path) -> Path:
    try:
        os.listdir(folder)
    except OSError as error:
        raise ValueError(f"must be a folder whose files can be read: {error.strerror}") from None
    return folder


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=3600), Unit("seconds")]
Folder = Annotated[Path, AfterValidator(_searchable)]
Bytes = Annotated[int, Field(ge=1), Unit("bytes")]


class Settings(BaseSettings):
    """Everything about this service that differs between deploys."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: PostgresUrl = Field(description="The database, as postgresql://user:password@host:5432/name.")
    database_pool_size: Annotated[int, Field(ge=1, le=1000), Unit("connections")] = Field(
        10, description="The most connections that one process holds to the database."
    )
    host: str = Field("0.0.0.0", description="The address that web listens on.")
    port: Port = Field(8000, description="The port that web listens on.")
    public_url: HttpUrl | None = Field(
        None, description="Where clients reach the service: https://api.example.com. Links are relative without it."
    )
    forwarded_allow_ips: Annotated[str, AfterValidator(_addresses)] = Field(
        "127.0.0.1", description="The routers whose X-Forwarded-* headers count: addresses or networks, or * for all."
    )
    max_body_bytes: Bytes = Field(1_048_576, description="The largest request body that is accepted.")
    drain_seconds: Seconds = Field(0, description="How long web still answers after SIGTERM, while it is not ready.")
    grace_seconds: Seconds = Field(8, description="How long what has begun may take to finish, after the drain time.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="One JSON event a line, or text for people; auto is text on a terminal and JSON elsewhere."
    )
    secrets_dir: Folder | None = Field(None, description="A folder of secrets, each in a file named like its variable.")
    feature_api_docs: bool = Field(True, description="Serves the interactive documentation at /docs.")

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        if isinstance(value, _Unreadable):
            raise ValueError(value.problem)
        return value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads what is passed in, then the three places, and nothing else."""
        return init_settings, _Places(settings_cls)

    def secret(self, field: str) -> str:
        """The secret in `field` as it is now: one given by file is read again, so that it can rotate.

        Raises ConfigurationError when the file has become unusable.
        """
        current = load() if origin(field).file else self
        secret: SecretStr = getattr(current, field)
        return secret.get_secret_value()


class Origin(NamedTuple):
    """Where a value comes from; `file` is None for the environment itself and for a default."""

    name: str
    file: Path | None = None


def origin(field: str) -> Origin:
    """The place that gives `field` its value."""
    return next(iter(_given(field.upper())), Origin("default"))


def load() -> Settings:
    """The settings of this process.

    Raises ConfigurationError that names every bad variable at once.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_problems(error)) from None


def peek(field: str) -> str:
    """One value as text, not validated, for what must work while others are wrong."""
    given = _read(field.upper())
    return given if isinstance(given, str) else str(Settings.model_fields[field].get_default())


class _Unreadable(NamedTuple):
    problem: str


class _Places(PydanticBaseSettingsSource):
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return _read(field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {field: _read(field.upper()) for field in self.settings_cls.model_fields}
        return {field: value for field, value in values.items() if value is not None}


def _given(variable: str) -> list[Origin]:
    places = []
    if os.environ.get(variable):
        places.append(Origin("environment"))
    if file := os.environ.get(f"{variable}_FILE"):
        places.append(Origin(f"{variable}_FILE", Path(file)))
    if (folder := os.environ.get("SECRETS_DIR")) and os.path.isfile(secret := Path(folder, variable)):
        places.append(Origin("SECRETS_DIR", secret))
    return places


def _read(variable: str) -> str | _Unreadable | None:
    places = _given(variable)
    if len(places) > 1:
        return _Unreadable(f"is given more than once, by {' and '.join(place.name for place in places)}; keep one")
    if not places:
        return None
    if (file := places[0].file) is None:
        return os.environ[variable]
    if file.exists() and not file.is_file():  # a pipe or a device may never end
        return _Unreadable(f"cannot be read from what is given by {places[0].name}: it is not a file")
    try:
        return file.read_text().strip() or _Unreadable(f"is empty in the file given by {places[0].name}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return _Unreadable(f"cannot be read from the file given by {places[0].name}: {reason}")


def _problems(error: ValidationError) -> dict[str, str]:
    problems = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        field = str(detail["loc"][0])
        wrong = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if detail["type"] == "missing":
            wrong = "is not set"
        problems[field.upper()] = f"{wrong}. {Settings.model_fields[field].description}"
    return problems
