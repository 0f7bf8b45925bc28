"""The monitor: `predicted_smile` and `option_features` → `prediction_scores`, drift, retraining."""

import os
from contextlib import ExitStack

import structlog

from ml.command import TRACKING_URI
from services.common import logs, metrics
from services.common.database import Database
from services.common.errors import SettingsError, Unavailable
from services.common.health import Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.settings import load
from services.monitor.champion import Champion
from services.monitor.process import ProcessLauncher
from services.monitor.retraining import Launcher, Retraining
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor
from services.monitor.watch import DriftWatch

log = structlog.stdlib.get_logger(__name__)


def main() -> None:
    """Run the monitor until a signal."""
    settings = load(MonitorSettings)
    logs.set_up("monitor", settings.log_level)
    run(settings, Stop().on_signals())


def run(settings: MonitorSettings, stop: Stop) -> None:
    """Run the monitor until `stop`."""
    heartbeat = Heartbeat()
    with ExitStack() as stack:
        stack.enter_context(serve(settings.metrics_port, heartbeat))
        database = stack.enter_context(Database(settings.database_url, "monitor"))
        champion = Champion(settings.model_server_url, settings.monitor_contract_seconds)
        monitor = Monitor(database, settings, champion)
        launcher = launcher_of(settings)
        retraining = None if launcher is None else stack.enter_context(Retraining(
            database, launcher, settings.retrain_cooldown_seconds,
            settings.retrain_timeout_seconds))
        watch = DriftWatch(database, settings, retraining)
        log.info("scoring", every_s=settings.monitor_interval_seconds, retrain=settings.retrain)
        while not stop:
            heartbeat.beat()
            if not turn(monitor, watch, champion, retraining, heartbeat):
                stop.wait(settings.monitor_interval_seconds)


def turn(monitor: Monitor, watch: DriftWatch, champion: Champion,
         retraining: Retraining | None, heartbeat: Heartbeat) -> bool:
    """One pass; True if there is more to do at once. A database that is away is waited for."""
    try:
        more = monitor.step()
        watch.step(monitor.clocks, champion.now())
        if retraining is not None:
            retraining.step()
    except Unavailable as error:
        metrics.RETRIES.labels("monitor").inc()
        if str(error) != heartbeat.waiting:
            log.warning("will try again, until it succeeds", why=str(error))
        heartbeat.waiting = str(error)
        return False
    if heartbeat.waiting:
        log.info("goes on", after=heartbeat.waiting)
    heartbeat.waiting = ""
    return more


def launcher_of(settings: MonitorSettings) -> Launcher | None:
    """What retrains, if anything does.

    Raises:
        SettingsError: what it needs is not set.
    """
    if settings.retrain == "process":
        if not settings.retrain_command and not os.environ.get(TRACKING_URI):
            raise SettingsError(f"SMILE_RETRAIN is process, but {TRACKING_URI} is not set: the "
                                "trainer needs the registry")
        return ProcessLauncher(settings.retrain_command, settings.retrain_options)
    if settings.retrain == "job":
        from services.monitor import job  # the client of Kubernetes takes its time and memory

        return job.connect(settings.retrain_namespace, settings.retrain_cronjob,
                           settings.retrain_timeout_seconds)
    return None
