"""Which port each part listens on: fixed by default, each with a setting of its own."""

import os
import socket
from collections.abc import Mapping

from local.errors import LocalError, PortInUse

HOST = "127.0.0.1"
DEFAULTS: Mapping[str, int] = {
    "dashboard": 8501,
    "kafka": 9092,
    "kafka_controller": 9093,
    "postgres": 5433,
    "mlflow": 5001,
    "model_server": 3001,
    "gateway": 4002,
    "prometheus": 9090,
    "simulator_metrics": 9101,
    "ingest_metrics": 9102,
    "writer_metrics": 9103,
    "features_metrics": 9104,
    "predictor_metrics": 9105,
    "monitor_metrics": 9106,
    "dashboard_metrics": 9107,
}


def setting(name: str) -> str:
    """The environment variable that sets a port.

    >>> setting("kafka")
    'SMILE_PORT_KAFKA'
    """
    return f"SMILE_PORT_{name.upper()}"


def resolve(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Port of every part, the environment before the defaults.

    Raises:
        LocalError: a setting is not a port, or two parts got the same one.
    """
    ports = {name: _port(name, environ.get(setting(name), str(default)))
             for name, default in DEFAULTS.items()}
    owners: dict[int, str] = {}
    for name, port in ports.items():
        if port in owners:
            raise LocalError(f"{setting(name)} and {setting(owners[port])} are both {port}: "
                             "give each part a port of its own.")
        owners[port] = name
    return ports


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise LocalError(f"{setting(name)} is `{text}`, which is no port (1 to 65535).")
    return int(text)


def check_free(name: str, port: int) -> None:
    """Refuse a port that another program holds.

    Raises:
        PortInUse: names the port and the setting that changes it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUse(f"Port {port}, wanted by {name}, is in use: stop what listens there "
                            f"or set {setting(name)} to a free port.") from error


def free() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """True if something takes connections on `port` of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
