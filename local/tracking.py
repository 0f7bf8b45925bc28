"""MLflow's tracking server and registry in one process: sqlite, and a folder for artifacts.

`python -m local.tracking FOLDER PORT`. The `mlflow server` command starts the same application
through a second process that has loaded all of MLflow too and then only waits: 200 MB and several
seconds that one machine has better uses for. What that command passes on to the application is
set here instead.
"""

import argparse
import os
import sys
from pathlib import Path

from local import ports


def command(folder: Path, port: int) -> list[str]:
    """The command that runs the server with its data in `folder`."""
    return [sys.executable, "-m", "local.tracking", str(folder), str(port)]


def environment(folder: Path) -> dict[str, str]:
    """What MLflow's application reads on import."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def serve(folder: Path, port: int) -> None:
    """Bring the database up to date and serve until a signal."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = environment(folder)
    os.environ.update(settings)

    import uvicorn
    from mlflow.server import handlers

    store = settings["_MLFLOW_SERVER_FILE_STORE"]
    handlers.initialize_backend_stores(store, store, settings["_MLFLOW_SERVER_ARTIFACT_ROOT"])
    uvicorn.run("mlflow.server.fastapi_app:app", host=ports.HOST, port=port, log_level="warning")


def main() -> None:
    """Entry point of `python -m local.tracking`."""
    parser = argparse.ArgumentParser(prog="local.tracking", description="Run MLflow's server.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    chosen = parser.parse_args()
    serve(chosen.folder, chosen.port)


if __name__ == "__main__":
    main()
