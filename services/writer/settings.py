"""What the writer is told by its environment."""

from typing import Annotated

from msgspec import Meta

from services.common.settings import KafkaSettings, Seconds


class WriterSettings(KafkaSettings, frozen=True, kw_only=True):
    """Settings of the writer; each is read from `SMILE_<NAME>`."""

    database_url: Annotated[str, Meta(min_length=1)]
    """PostgreSQL URL, e.g. postgresql://user:password@host:5432/smile."""
    writer_batch: Annotated[int, Meta(ge=1, le=10_000)] = 200
    """A batch closes at so many messages …"""
    writer_batch_seconds: Seconds = 0.02
    """… or so long after its first one."""
