"""What the monitor is told by its environment."""

from typing import Annotated

from msgspec import Meta

from services.common.settings import DatabaseSettings, Seconds


class MonitorSettings(DatabaseSettings, frozen=True, kw_only=True):
    """Settings of the monitor; each is read from `SMILE_<NAME>`."""

    monitor_interval_seconds: Seconds = 2.0
    """How often to look for forecasts whose time has come."""
    monitor_batch: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """The most forecasts scored in one pass."""
    monitor_lookback_seconds: Seconds = 86_400.0
    """Forecasts made longer ago than this, by the market's clock, stay without a score."""
    monitor_tolerance_seconds: Seconds = 30.0
    """How long after its target time a forecast may still be scored on a first observation."""
    monitor_full_pass_seconds: Seconds = 1800.0
    """How often to look through the whole lookback, for forecasts written out of order."""
    monitor_rolling: Annotated[int, Meta(ge=1)] = 500
    """Scores in the rolling metrics, per symbol, model and horizon."""

    # The filtered persistence that forecasts are held against.
    step_s: Seconds = 60.0
    window: Annotated[int, Meta(ge=1, le=1000)] = 10
    filter_weight: Annotated[float, Meta(gt=0, le=1)] = 0.5
