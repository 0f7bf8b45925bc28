"""What the monitor is told by its environment."""

from typing import Annotated, Literal

from msgspec import Meta

from services.common.errors import SettingsError
from services.common.settings import DatabaseSettings, Seconds

Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class MonitorSettings(DatabaseSettings, frozen=True, kw_only=True):
    """Settings of the monitor; each is read from `SMILE_<NAME>`."""

    monitor_interval_seconds: Seconds = 2.0
    """How often to look for forecasts whose time has come."""
    monitor_batch: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """The most forecasts scored in one pass."""
    monitor_lookback_seconds: Seconds = 86_400.0
    """Forecasts made longer ago than this, by the market's clock, stay without a score."""
    monitor_tolerance_seconds: Seconds = 30.0
    """How long after its target time a forecast may still be scored on a first observation, until
    a champion's contract is known; then it is half the champion's step."""
    monitor_full_pass_seconds: Seconds = 1800.0
    """How often to look through the whole lookback, for forecasts written out of order."""
    monitor_rolling: Count = 500
    """Scores in the rolling metrics, per symbol, source, role, model and horizon; of an expiry
    one per horizon."""

    model_server_url: Annotated[str, Meta(pattern="^$|^https?://[^/]")] = ""
    """Base URL of the model server, whose champion's contract has the fitted baselines and the
    training fold's features; empty: neither those scores nor drift."""
    monitor_contract_seconds: Seconds = 60.0
    """How often to ask for that contract."""

    drift_interval_seconds: Seconds = 1800.0
    """How often to look for drift, by the market's clock."""
    drift_window_seconds: Seconds = 86_400.0
    """How much of the recent past is looked at, by the market's clock."""
    drift_share: Share = 0.5
    """Share of the features that must have drifted to count as drift; of the horizons likewise,
    for their errors and for lost skill."""
    drift_checks: Count = 3
    """So many checks after one another must find the same, to be a reason to retrain."""

    retrain: Literal["off", "process", "job"] = "off"
    """Whether to retrain for such a reason, by a process beside the monitor or a Kubernetes Job."""
    retrain_cooldown_seconds: Seconds = 86_400.0
    """After asking for a retraining, how long not to ask for another."""
    retrain_timeout_seconds: Seconds = 7200.0
    """A retraining that takes longer is given up."""
    retrain_command: tuple[str, ...] = ()
    """For `process`, comma-separated; by default `python -m ml.train --from-database --promote`,
    with the served model's name and the source that drifted."""
    retrain_options: tuple[str, ...] = ()
    """For `process`, comma-separated: further options of that default command."""
    retrain_cronjob: str = ""
    """For `job`, the CronJob whose template the Job is made from."""
    retrain_namespace: str = ""
    """For `job`, its namespace; by default the pod's own."""

    # The filtered persistence that forecasts are held against until a contract is known.
    step_s: Seconds = 60.0
    window: Annotated[int, Meta(ge=1, le=1000)] = 10
    filter_weight: Annotated[float, Meta(gt=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        if self.retrain == "job" and not self.retrain_cronjob:
            raise SettingsError("SMILE_RETRAIN is job, but SMILE_RETRAIN_CRONJOB names no CronJob")
        if self.retrain != "off" and not self.model_server_url:
            raise SettingsError(f"SMILE_RETRAIN is {self.retrain}, but SMILE_MODEL_SERVER_URL is "
                                "not set: without it there is nothing to tell drift from")
