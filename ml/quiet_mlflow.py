"""MLflow, imported with its telemetry and progress bars off and with short patience.

It reads these variables while it is imported, so nothing here may import it elsewhere first.
"""

import os

for _name, _value in (
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
    ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
    ("GIT_PYTHON_REFRESH", "quiet"),
):
    os.environ.setdefault(_name, _value)

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

__all__ = ["MlflowClient", "MlflowException", "mlflow"]
