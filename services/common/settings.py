"""Settings from the environment: one frozen struct per service, prefix `SMILE_`.

A field `kafka_bootstrap` is read from `SMILE_KAFKA_BOOTSTRAP`. Values are coerced to the
field's type and checked against its constraints; a missing or bad one is refused by its name.
Lists are comma-separated.
"""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from services.common.errors import SettingsError

PREFIX = "SMILE_"
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


# A backslash before a comma, which repr doubles, keeps the comma in the option's value.
_SECRET = re.compile(r"(?<=://)[^']*(?=@)"
                     r"|(?:(?<=password=)|(?<=secret=)|(?<=pem=))(?:\\\\,|[^,'])*")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service has."""

    metrics_port: Port = 9100
    """Where /metrics and /healthz are served; 0 takes any free port."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def __repr__(self) -> str:
        """All fields, with what is secret in a URL or an option masked."""
        fields = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__)
        return _SECRET.sub("***", f"{type(self).__name__}({', '.join(fields)})")


class KafkaSettings(Settings, frozen=True, kw_only=True):
    """What a service on Kafka has beside."""

    kafka_bootstrap: Annotated[str, Meta(min_length=1)]
    """Comma-separated host:port of the brokers."""
    kafka_options: str = ""
    """Further librdkafka options as key=value, comma-separated (security, timeouts)."""
    kafka_group: str = ""
    """Consumer group; by default the stage's own name."""


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """What a service on the database has beside."""

    database_url: Annotated[str, Meta(min_length=1)]
    """PostgreSQL URL, e.g. postgresql://user:password@host:5432/smile."""


S = TypeVar("S", bound=Settings)


def load(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """The settings of `kind` from the environment.

    Raises:
        SettingsError: naming the variable that is missing or bad.
    """
    values = os.environ if environment is None else environment
    hints = get_type_hints(kind)
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        raw = values.get(PREFIX + field.name.upper())
        if raw is None or (raw == "" and not field.required):
            continue
        is_list = get_origin(hints[field.name]) in (tuple, list)
        given[field.name] = [part.strip() for part in raw.split(",")] if is_list else raw
    return _convert(kind, given)


def _convert(kind: type[S], given: dict[str, object]) -> S:
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in given:
            raise SettingsError(f"{PREFIX}{field.name.upper()} is not set; {kind.__name__} "
                                "needs it")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        if not path:  # of the settings as a whole, which names what it is about
            raise SettingsError(reason) from error
        name = path.rstrip("`").split("[")[0]
        value = given.get(name, "")
        raise SettingsError(f"{PREFIX}{name.upper()}={value!r} is not valid: {reason}") from error
