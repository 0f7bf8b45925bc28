"""Prometheus, where it is installed: its configuration and its command."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from local import ports

CONFIGURATION = """\
global:
  scrape_interval: 5s
scrape_configs:
"""
TARGET = """\
  - job_name: {job}
    static_configs:
      - targets: ["{host}:{port}"]
"""


def installed() -> str | None:
    """Path of the program, if it is installed."""
    return shutil.which("prometheus")


def configuration(targets: Mapping[str, int]) -> str:
    """The scrape configuration for jobs by name and port."""
    return CONFIGURATION + "".join(TARGET.format(job=job, host=ports.HOST, port=port)
                                   for job, port in targets.items())


def command(program: str, folder: Path, port: int, targets: Mapping[str, int]) -> list[str]:
    """Write the configuration into `folder` and say how to run it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(configuration(targets))
    return [program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={ports.HOST}:{port}", "--storage.tsdb.retention.time=2d",
            "--log.level=warn"]
