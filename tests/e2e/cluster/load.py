"""Runs in a pod: asks the model server from several threads for some time, and counts answers.

    python - URL SECONDS THREADS

Windows are zeros of the champion's shape. Prints JSON with how many calls there were, how many
failed and how, and the slowest.
"""

import collections
import json
import sys
import threading
import time

import httpx
import numpy as np

from ml.contract import from_json
from services.common import forecast_wire as wire

BATCH = 256


def main(url: str, seconds: float, threads: int) -> None:
    """Ask until the time is over."""
    with httpx.Client(base_url=url, timeout=10) as client:
        answer = client.post("/contract", content=b"{}",
                             headers={"Content-Type": "application/json"})
        contract = from_json(answer.content)
    windows = np.zeros((BATCH, contract.window, len(contract.feature_names)))
    body = wire.encode(wire.Request(
        step_s=contract.step_s, grid_z=contract.grid_z, feature_names=contract.feature_names,
        windows=wire.pack(windows)))
    until = time.monotonic() + seconds
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = [0.0]

    def ask() -> None:
        while time.monotonic() < until:
            begin = time.monotonic()
            try:
                # A connection for each call, so that new pods get their share.
                answer = httpx.post(f"{url}{wire.PATH}", content=body, timeout=10,
                                    headers={"Content-Type": wire.MEDIA_TYPE})
                outcomes[str(answer.status_code)] += 1
            except httpx.HTTPError as error:
                outcomes[type(error).__name__] += 1
            slowest[0] = max(slowest[0], time.monotonic() - begin)

    crowd = [threading.Thread(target=ask) for _ in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    json.dump({"calls": outcomes.total(), "outcomes": outcomes, "slowest_s": slowest[0]},
              sys.stdout)


main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
