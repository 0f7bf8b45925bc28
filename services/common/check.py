"""Whether a deployed pipeline works, seen from inside its network: what `helm test` runs.

    python -m services.common.check [--wait SECONDS] forecasts MAX_AGE_S    # SMILE_DATABASE_URL
    python -m services.common.check [--wait SECONDS] dashboard URL
    python -m services.common.check [--wait SECONDS] model-server URL
    python -m services.common.check [--wait SECONDS] registry URL    # MLFLOW_TRACKING_USERNAME, …

Prints what it saw and exits 0; 1 with a sentence if it did not come within the wait.
"""

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from services.common.database import Database
from services.common.errors import ServiceError, Unavailable
from services.common.settings import DatabaseSettings, load

TIMEOUT_S = 10.0
PAUSE_S = 2.0
NEWEST = """SELECT extract(epoch FROM now() - made_at)::float, symbol, model_name, role
            FROM predicted_smile ORDER BY made_at DESC LIMIT 1"""


def forecasts(max_age_s: str) -> str:
    """The newest row of `predicted_smile` is at most so old; 0 lets it be of any age."""
    with Database(load(DatabaseSettings).database_url, "check") as database:
        found = database.rows(NEWEST)
    if not found:
        raise Unavailable("there is no forecast yet")
    age_s, symbol, model, role = found[0]
    sentence = f"the newest forecast, {role} {model} of {symbol}, is {age_s:.0f} s old"
    if 0 < float(max_age_s) < age_s:
        raise Unavailable(sentence)
    return sentence


def dashboard(url: str) -> str:
    """The pages' server is well."""
    status, _ = get(f"{url}/_stcore/health")
    if status != 200:
        raise Unavailable(f"the dashboard answers {status}")
    return "the dashboard is well"


def model_server(url: str) -> str:
    """The server lives; it is ready, or says that there is no model yet."""
    status, _ = get(f"{url}/livez")
    if status != 200:
        raise Unavailable(f"the model server answers {status}")
    ready, _ = get(f"{url}/readyz")
    if ready not in (200, 503):
        raise Unavailable(f"asked whether it is ready, the model server answers {ready}")
    return "the model server has a champion" if ready == 200 else "the model server has none yet"


def registry(url: str) -> str:
    """MLflow lets us read its registry."""
    status, body = get(f"{url}/api/2.0/mlflow/registered-models/search?max_results=100",
                       credentials(os.environ))
    if status in (401, 403):
        raise ServiceError(f"MLflow refuses us: {status} {body[:200]}")
    if status != 200:
        raise Unavailable(f"MLflow answers {status}")
    names = [model["name"] for model in json.loads(body).get("registered_models", [])]
    return f"MLflow has the models {', '.join(names) or '(none yet)'}"


def credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The header of MLflow's own variables; empty without."""
    name = environment.get("MLFLOW_TRACKING_USERNAME", "")
    if not name:
        return {}
    pair = f"{name}:{environment.get('MLFLOW_TRACKING_PASSWORD', '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and text of an answer, whatever its status.

    Raises:
        Unavailable: nothing answers.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        raise Unavailable(f"{url}: {error}") from error


def within(wait_s: float, check: Callable[[], str]) -> str:
    """What `check` says, as soon as it is content.

    Raises:
        Unavailable: what it said last, when it was not within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return check()
        except Unavailable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)


CHECKS: dict[str, Callable[[str], str]] = {
    "forecasts": forecasts, "dashboard": dashboard, "model-server": model_server,
    "registry": registry}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one check."""
    parser = argparse.ArgumentParser(prog="services.common.check", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("of", help="its URL, or the greatest age in seconds")
    chosen = parser.parse_args(arguments)
    try:
        print(within(chosen.wait, lambda: CHECKS[chosen.check](chosen.of)))
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
