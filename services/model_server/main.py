"""The model server's process: it checks its settings, takes its port, and becomes BentoML.

`bentoml serve` would keep a supervisor of 85 MB beside its one worker, and if that is killed the
worker stays and holds the port. So this process turns into the worker itself.
"""

import errno
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import structlog

from services.common import logs
from services.common.errors import SettingsError
from services.model_server.settings import load

SERVICE = "services.model_server.service:SmileForecaster"
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
log = structlog.stdlib.get_logger(__name__)


def main() -> None:
    """Check the settings, then serve until a signal.

    Raises:
        SettingsError: a setting is missing or bad, or the port is in use.
    """
    settings, _ = load()
    logs.set_up("model_server", settings.log_level)
    listener = bind(settings.model_server_host, settings.model_server_port)
    host, port = listener.getsockname()[:2]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # more than one only wait for each other
    os.environ.setdefault(METRICS_FOLDER, fresh_folder(port))
    log.info("serving", host=host, port=port)
    os.execv(sys.executable, worker_command(listener.fileno()))


def bind(host: str, port: int) -> socket.socket:
    """A socket for the worker to listen on; until it does, connections are refused.

    Raises:
        SettingsError: the host is none of this machine's, or the port can't be had.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError(f"SMILE_MODEL_SERVER_HOST={host}: {error.strerror}; it is no "
                                "address of this machine") from error
        raise SettingsError(f"SMILE_MODEL_SERVER_PORT={port}: {error.strerror}; "
                            "set another port") from error
    listener.set_inheritable(True)
    return listener


def fresh_folder(port: int) -> str:
    """An empty folder for the values of this server's metrics, which BentoML keeps in files."""
    folder = Path(tempfile.gettempdir()) / f"smile-model-server-{port}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:  # it is another user's
        return tempfile.mkdtemp(prefix=f"{folder.name}-")
    return str(folder)


def worker_command(listener: int) -> list[str]:
    """What BentoML's supervisor starts a worker with."""
    return [sys.executable, "-m", "_bentoml_impl.worker.service", SERVICE,
            "--fd", str(listener), "--worker-id", "1"]
