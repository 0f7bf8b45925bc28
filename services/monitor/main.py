"""The monitor: `predicted_smile` and `option_features` → `prediction_scores`."""

from contextlib import ExitStack

import structlog

from services.common import logs, metrics
from services.common.database import Database
from services.common.errors import Unavailable
from services.common.health import Heartbeat, serve
from services.common.lifecycle import Stop
from services.common.settings import load
from services.monitor.settings import MonitorSettings
from services.monitor.step import Monitor

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
        monitor = Monitor(database, settings)
        log.info("scoring", every_s=settings.monitor_interval_seconds)
        while not stop:
            heartbeat.beat()
            if not turn(monitor):
                stop.wait(settings.monitor_interval_seconds)


def turn(monitor: Monitor) -> bool:
    """One pass; True if there is more to do at once. A database that is away is waited for."""
    try:
        return monitor.step()
    except Unavailable as error:
        metrics.RETRIES.labels("monitor").inc()
        log.warning("will try again", why=str(error))
        return False
