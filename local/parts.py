"""The parts of the stack, as data, in the order in which they may start."""

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local import kafka, ports, postgres, prometheus, tracking
from local.part import Answers, Calls, Part
from local.sources import Source
from local.state import Running

LEAN = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Small machines: one arena and one thread for each process."""
FIRST_MODEL = "the first model of the demo: without it there would be none to forecast"
"""Why it is made champion where the gate refuses it."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What one run of the stack is made of."""

    source: Source
    folder: Path
    """The source's own folder below the state folder."""
    ports: Mapping[str, int]
    symbol: str = "SPY"
    history: timedelta = timedelta(hours=6.5)
    """Simulated quotes that train the first model, of the last session before the warm-up."""
    warmup: timedelta = timedelta(minutes=60)
    """At most that much of the time before now is filled at start."""
    step_s: int = 60
    speed: float = 60.0
    """Market seconds per second of a replayed recording."""
    train_options: tuple[str, ...] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def shared(self) -> dict[str, str]:
        """The environment of every service."""
        return LEAN | {
            "SMILE_KAFKA_BOOTSTRAP": self.address("kafka"),
            "SMILE_DATABASE_URL": postgres.database_url(self.ports["postgres"]),
            "SMILE_MODEL_SERVER_URL": self.http("model_server"),
            "MLFLOW_TRACKING_URI": self.http("mlflow"),
            "SMILE_SYMBOL": self.symbol,
            "SMILE_SIMULATOR_SYMBOLS": self.symbol,
        }

    def address(self, port: str) -> str:
        """host:port of a named port."""
        return f"{ports.HOST}:{self.ports[port]}"

    def http(self, port: str, path: str = "") -> str:
        """URL of a named port."""
        return f"http://{self.address(port)}{path}"

    def stage(self, name: str, needs: tuple[str, ...], after: tuple[str, ...] = (),
              **env: str) -> Part:
        """A service that has /healthz on its metrics port.

        Left alone it would wait long for a broker that is gone as well, to say goodbye; nothing
        is lost without that.
        """
        port = f"{name}_metrics"
        return Part(
            name=name, command=(sys.executable, "-m", f"services.{name}"), needs=needs,
            after=after, env=self.shared | {"SMILE_METRICS_PORT": str(self.ports[port])} | env,
            ready=Answers(self.http(port, "/healthz")), ports=(port,),
            url=self.http(port, "/metrics"), death_signal=signal.SIGKILL)


def build(demo: Demo) -> list[Part]:
    """All parts of a run, each after those it waits for."""
    parts = [*_stores(demo), *_history(demo), *_model(demo), *_pipeline(demo), *_feed(demo),
             _dashboard(demo)]
    program = prometheus.installed()
    return [*parts, _prometheus(demo, program)] if program else parts


def _stores(demo: Demo) -> list[Part]:
    bootstrap, database = demo.address("kafka"), demo.shared["SMILE_DATABASE_URL"]
    return [
        Part(name="postgres", env=LEAN, ready=Calls(postgres.answers, database),
             command=tuple(postgres.command(demo.folder / "postgres", demo.ports["postgres"])),
             ports=("postgres",), url=database, stop_signal=postgres.STOP_SIGNAL),
        Part(name="kafka", ready=Calls(kafka.topics_ready, bootstrap), url=bootstrap,
             command=tuple(kafka.command(demo.folder / "kafka", demo.ports["kafka"],
                                         demo.ports["kafka_controller"])),
             ports=("kafka", "kafka_controller"), grace_s=30.0),
        Part(name="migrations", command=(sys.executable, "-m", "sql.migrate"), env=demo.shared,
             needs=("postgres",)),
        Part(name="mlflow", command=tuple(tracking.command(demo.folder / "mlflow",
                                                           demo.ports["mlflow"])),
             env=LEAN, ready=Answers(demo.http("mlflow", "/health")), ports=("mlflow",),
             url=demo.http("mlflow")),
    ]


def _history(demo: Demo) -> list[Part]:
    """Training history of the simulated market, made once; a recording brings its own."""
    if demo.source.kind != "simulator":
        return []
    return [Part(
        name="history", env=demo.shared, stamp=demo.folder / "history.made",
        command=(sys.executable, "-m", "local.history", str(demo.folder / "history.parquet"),
                 "--hours", str(demo.history.total_seconds() / 3600),
                 "--step", str(demo.step_s), "--before", _minutes(demo.warmup)))]


def _minutes(span: timedelta) -> str:
    return str(span.total_seconds() / 60)


def _model(demo: Demo) -> list[Part]:
    server = Part(
        name="model_server", command=(sys.executable, "-m", "services.model_server"),
        env=demo.shared | {"SMILE_MODEL_SERVER_PORT": str(demo.ports["model_server"]),
                           "SMILE_MODEL_SERVER_HOST": ports.HOST,
                           "BENTOML_HOME": str(demo.folder / "bentoml")},
        needs=("train" if _trains(demo) else "mlflow",), ports=("model_server",),
        url=demo.http("model_server"),
        ready=Answers(demo.http("model_server", "/readyz" if _trains(demo) else "/livez")))
    return [*([_train(demo)] if _trains(demo) else []), server]


def _trains(demo: Demo) -> bool:
    return demo.source.kind != "gateway"


def _train(demo: Demo) -> Part:
    simulated = demo.source.kind == "simulator"
    model = ("--model", "gru", "--within-day", "--folds", "1") if simulated else (
        "--config", str(demo.folder / "train.yaml"))
    return Part(
        name="train", env=demo.shared, needs=("mlflow", *(("history",) if simulated else ())),
        stamp=demo.folder / "model.trained",
        command=(sys.executable, "-m", "ml.train", "--quotes",
                 str(demo.folder / "history.parquet"), *model, "--force", FIRST_MODEL,
                 *demo.train_options))


def training_command(options: Sequence[str]) -> list[str]:
    """Train a model of what a running stack has in its tables, and promote it if it is good."""
    return [sys.executable, "-m", "ml.train", "--from-database", "--promote", *options]


def training_environment(running: Sequence[Running]) -> dict[str, str]:
    """Where that stack's tables and registry are."""
    urls = {part.name: part.url or "" for part in running}
    return LEAN | {"SMILE_DATABASE_URL": urls["postgres"], "MLFLOW_TRACKING_URI": urls["mlflow"]}


def _pipeline(demo: Demo) -> list[Part]:
    stores = ("kafka", "migrations")
    # With a model on its way, forecasts begin with it: the warm-up is then forecast by it too.
    model = ("train", "model_server") if _trains(demo) else ()
    return [
        demo.stage("writer", stores),
        demo.stage("features", stores),
        demo.stage("predictor", stores, after=model),
        demo.stage("monitor", ("migrations",), after=model,
                   # On its first day the stack has a history of one day only.
                   SMILE_RETRAIN_OPTIONS="--within-day"),
    ]


def _feed(demo: Demo) -> list[Part]:
    if demo.source.kind == "recording":
        return [_replay(demo)]
    if demo.source.kind == "gateway":
        return [_ingest(demo, demo.source.host, demo.source.port, needs=("features", "writer"))]
    return [
        _simulator(demo),
        _warmup(demo),
        _ingest(demo, ports.HOST, demo.ports["gateway"], needs=("simulator",), after=("warmup",),
                SMILE_SOURCE_LABEL="simulated"),
    ]


def _simulator(demo: Demo) -> Part:
    metrics = demo.ports["simulator_metrics"]
    return Part(
        name="simulator", env=demo.shared | {"SMILE_METRICS_PORT": str(metrics)},
        command=(sys.executable, "-m", "services.simulator", "serve", "--host", ports.HOST,
                 "--port", str(demo.ports["gateway"]), "--metrics-port", str(metrics)),
        ready=Answers(demo.http("simulator_metrics", "/healthz")),
        ports=("gateway", "simulator_metrics"), url=demo.address("gateway"))


def _warmup(demo: Demo) -> Part:
    return Part(
        name="warmup", env=demo.shared, needs=("kafka", "migrations"),
        after=("writer", "features"),
        command=(sys.executable, "-m", "local.warmup", str(demo.folder / "warmup.parquet"),
                 "--minutes", _minutes(demo.warmup), "--step", str(demo.step_s)))


def _ingest(demo: Demo, host: str, port: int, needs: tuple[str, ...],
            after: tuple[str, ...] = (), **env: str) -> Part:
    return demo.stage("ingest", ("kafka", *needs), after, SMILE_SOURCE="tws",
                      SMILE_GATEWAY_HOST=host, SMILE_GATEWAY_PORT=str(port), **env)


def _replay(demo: Demo) -> Part:
    played = {"SMILE_SOURCE": "recording", "SMILE_SPEED": str(demo.speed),
              "SMILE_RECORDING": str(demo.folder / "replay.parquet")}
    return dataclasses.replace(
        demo.stage("ingest", ("kafka", "features", "writer"), after=("predictor",), **played),
        may_end=True)


def _dashboard(demo: Demo) -> Part:
    port = str(demo.ports["dashboard"])
    return Part(
        name="dashboard", command=(sys.executable, "-m", "dashboard"), needs=("migrations",),
        env=demo.shared | {"SMILE_DASHBOARD_PORT": port, "SMILE_DASHBOARD_ADDRESS": ports.HOST,
                           "SMILE_METRICS_PORT": str(demo.ports["dashboard_metrics"])},
        ready=Answers(demo.http("dashboard", "/_stcore/health")), url=demo.http("dashboard"),
        ports=("dashboard", "dashboard_metrics"))


def _prometheus(demo: Demo, program: str) -> Part:
    stages = {name.removesuffix("_metrics"): port for name, port in demo.ports.items()
              if name.endswith("_metrics")}
    targets = stages | {"model_server": demo.ports["model_server"]}
    return Part(
        name="prometheus", command=tuple(prometheus.command(
            program, demo.folder / "prometheus", demo.ports["prometheus"], targets)),
        ready=Answers(demo.http("prometheus", "/-/ready")), ports=("prometheus",),
        url=demo.http("prometheus"))


def demo_symbol(environ: Mapping[str, str] = os.environ) -> str:
    """The symbol to watch: `SMILE_SYMBOL`, or SPY."""
    return environ.get("SMILE_SYMBOL") or "SPY"
