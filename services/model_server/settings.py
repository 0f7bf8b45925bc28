"""Settings of the model server."""

import os
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from services.common import settings
from services.common.errors import SettingsError
from services.common.settings import Port, Seconds, Settings

TRACKING_URI = "MLFLOW_TRACKING_URI"
SHADOW_SECONDS = 0.1


class ModelServerSettings(Settings, frozen=True, kw_only=True):
    """What the model server is told; its metrics are on its own port."""

    model_name: Annotated[str, Meta(min_length=1, max_length=64)] = "smile"
    """The registered model in MLflow."""
    model_alias: Annotated[str, Meta(min_length=1)] = "champion"
    """The alias that answers; `challenger` is its shadow, where there is one."""
    model_server_host: str = "0.0.0.0"
    model_server_port: Port = 3000
    model_poll_seconds: Seconds = 5.0
    """How often to ask whether an alias has moved."""
    model_shadow_seconds: Seconds = SHADOW_SECONDS
    """How long a request waits for the shadow, when the champion has answered."""


def load(environment: Mapping[str, str] | None = None) -> tuple[ModelServerSettings, str]:
    """The settings, and MLflow's address, which goes by MLflow's own variable.

    Raises:
        SettingsError: naming the variable that is missing or bad.
    """
    values = os.environ if environment is None else environment
    uri = values.get(TRACKING_URI, "")
    if not uri:
        raise SettingsError(f"{TRACKING_URI} is not set; ModelServerSettings needs it")
    return settings.load(ModelServerSettings, values), uri
