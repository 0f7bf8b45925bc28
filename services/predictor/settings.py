"""What the predictor is told by its environment."""

from typing import Annotated

import httpx
from msgspec import Meta

from services.common.settings import KafkaSettings, Seconds


class PredictorSettings(KafkaSettings, frozen=True, kw_only=True):
    """Settings of the predictor; each is read from `SMILE_<NAME>`."""

    database_url: Annotated[str, Meta(min_length=1)]
    """PostgreSQL URL, e.g. postgresql://user:password@host:5432/smile."""
    model_server_url: Annotated[str, Meta(pattern="^https?://[^/]")]
    """Base URL of the model server, e.g. http://model-server:3000."""
    model_timeout_seconds: Seconds = 0.3
    """How long a call may take before the baseline stands in."""
    model_retry_seconds: Seconds = 1.0
    """After a failed call, how long not to try again."""
    predictor_batch: Annotated[int, Meta(ge=1, le=1000)] = 64
    """A batch closes at so many messages; also the most windows in one call of the server …"""
    predictor_batch_seconds: Seconds = 0.005
    """… or so long after its first one."""

    # The baseline's own shape, in use until a model's contract is known.
    step_s: Seconds = 60.0
    window: Annotated[int, Meta(ge=1, le=1000)] = 10
    filter_weight: Annotated[float, Meta(gt=0, le=1)] = 0.5
    horizons_s: tuple[Annotated[int, Meta(gt=0)], ...] = (60, 300, 900, 1800)

    def __post_init__(self) -> None:
        if not self.horizons_s or list(self.horizons_s) != sorted(set(self.horizons_s)):
            raise ValueError("SMILE_HORIZONS_S must name one or more horizons, ascending")
        try:
            port = httpx.URL(self.model_server_url).port
        except httpx.InvalidURL as error:
            raise ValueError("SMILE_MODEL_SERVER_URL is not a URL such as "
                             f"http://model-server:3000: {error}") from error
        if port is not None and not 0 < port < 65536:
            raise ValueError(f"SMILE_MODEL_SERVER_URL has the port {port}, not one of 1 to 65535")
