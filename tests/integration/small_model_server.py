"""A model server on loopback: answers for the contract and on the wire with a constant change.

It checks what it is asked as the real one does, and can be told to be late, broken, or to
become another version.
"""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import numpy as np

from ml.features import WINDOW_FEATURES
from ml.smile.grid import GRID_SIZE, GRID_Z
from services.common import forecast_wire as wire
from tests.unit.small_baselines import make_baselines, make_reference

HORIZONS = (60, 300, 900, 1800)


class SmallModelServer(ThreadingHTTPServer):
    """`changes` are the low, median and high change of every grid point, of the shadow too.

    `answer`, where set, is sent instead of a forecast.
    """

    daemon_threads = True

    def __init__(self, changes=(-0.01, 0.0, 0.01), window=10, step_s=60.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.changes, self.window, self.step_s = changes, window, step_s
        self.version, self.grid_z = "1", GRID_Z.tolist()
        self.horizons, self.anchor = HORIZONS, "filtered_persistence"
        self.shadow_changes = None
        self.delay_s, self.status, self.answer = 0.0, 200, None
        self.calls = {"/contract": 0, wire.PATH: 0}
        self.batches = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()

    def contract(self):
        horizons = len(HORIZONS)
        return {
            "name": "constant", "kind": "gru", "step_s": self.step_s, "window": self.window,
            "horizons_s": self.horizons, "grid_z": self.grid_z, "feature_names": WINDOW_FEATURES,
            "baselines": msgspec.to_builtins(make_baselines(self.window, horizons)),
            "anchor": [self.anchor] * horizons,
            "reference": msgspec.to_builtins(make_reference()),
            "filter_weight": 0.5, "shrinkage": [1.0] * horizons, "band_factor": [1.0] * horizons,
            "band_fallback": [[0.02] * len(self.grid_z)] * horizons,
            "trained_from": "2026-01-05T14:30:00Z", "trained_until": "2026-01-09T21:00:00Z",
            "samples": 1000, "data_fingerprint": "0123456789abcdef",
            "model_version": self.version}

    def forecast(self, request):
        windows = wire.unpack(request.windows, 3)
        assert windows.shape[1:] == (self.window, len(WINDOW_FEATURES)), windows.shape
        assert request.step_s == self.step_s
        self.batches.append(len(windows))
        shadow = self.shadow_changes
        return wire.Answer(
            champion=self.said(len(windows), self.changes),
            shadow=None if shadow is None else self.said(len(windows), shadow, "shadow", "9"))

    def said(self, windows, changes, role="champion", version=None):
        """What a model says of so many windows, by its three changes."""
        change = np.broadcast_to(np.array(changes)[None, None, :, None],
                                 (windows, len(HORIZONS), 3, GRID_SIZE))
        return wire.Said(model_name="constant", model_version=version or self.version, role=role,
                         horizons_s=HORIZONS, quantiles=(0.05, 0.5, 0.95),
                         change=wire.pack(change))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls[self.path] += 1
        time.sleep(self.server.delay_s)
        if self.path == "/contract":
            data = json.dumps(self.server.contract()).encode()
        else:
            data = self.server.answer or wire.encode(
                self.server.forecast(wire.decode(body, wire.Request)))
        with contextlib.suppress(ConnectionError):  # a client that waits no longer
            self.send_response(self.server.status)
            self.send_header("Content-Type", self.headers["Content-Type"])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format, *args):
        """Keep the test's output clean."""
