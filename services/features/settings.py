"""What the features stage is told by its environment."""

from typing import Annotated

from msgspec import Meta

from ml.instants import ConventionsOf
from ml.pricing.conventions import conventions_with, parse_dividends
from services.common.errors import SettingsError
from services.common.settings import KafkaSettings, Seconds


class FeaturesSettings(KafkaSettings, frozen=True, kw_only=True):
    """Settings of the features stage; each is read from `SMILE_<NAME>`."""

    database_url: Annotated[str, Meta(min_length=1)]
    """PostgreSQL URL, e.g. postgresql://user:password@host:5432/smile."""
    features_batch: Annotated[int, Meta(ge=1, le=10_000)] = 50
    """A batch closes at so many messages …"""
    features_batch_seconds: Seconds = 0.005
    """… or so long after its first one."""
    rate: Annotated[float, Meta(gt=-0.1, lt=1)] | None = None
    """Interest rate per year to expect; the quotes decide within about half a percent."""
    dividends: str = ""
    """Known cash dividends of the underlying, e.g. 2026-09-18:1.85,2026-12-18:1.95."""


def conventions_of(settings: FeaturesSettings) -> ConventionsOf:
    """The conventions of a symbol, with what the settings say of rate and dividends.

    Raises:
        SettingsError: the dividends are not written as they should.
    """
    try:
        dividends = parse_dividends(settings.dividends)
    except ValueError as error:
        raise SettingsError(f"SMILE_DIVIDENDS is not valid: {error}") from error
    return conventions_with(settings.rate, dividends)
