"""What the features stage is told by its environment."""

from typing import Annotated

from msgspec import Meta

from services.common.settings import KafkaSettings, Seconds


class FeaturesSettings(KafkaSettings, frozen=True, kw_only=True):
    """Settings of the features stage; each is read from `SMILE_<NAME>`."""

    database_url: Annotated[str, Meta(min_length=1)]
    """PostgreSQL URL, e.g. postgresql://user:password@host:5432/smile."""
    features_batch: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """A batch closes at so many messages …"""
    features_batch_seconds: Seconds = 0.005
    """… or so long after its first one."""
