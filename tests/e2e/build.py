"""Build the images of the cluster tests and hand them to the cluster: `python -m tests.e2e.build`.

Beside `../shared/kube` they are built by buildah and loaded into that cluster; elsewhere by docker,
for kind. The names are `localhost/spy-smile-TARGET:e2e`. What is built already is found in the
builder's cache, and what is loaded already is not loaded again. SMILE_E2E_IMAGES names images of
the project in a registry, with the word TARGET in them, which are taken instead of built.
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.kafka import COORDINATES

REPOSITORY = Path(__file__).resolve().parents[2]
TEST_IMAGES = Path(__file__).with_name("images")
KUBE = REPOSITORY.parent / "shared" / "kube" / "kube"
TIMESCALEDB = REPOSITORY.parent / "shared" / "timescaledb"
TAG = "e2e"
BUILD_S = 1500
CONTAINERD = ("ctr", "--address", "/run/kubebox/containerd.sock", "--namespace", "k8s.io")
"""Of the cluster of `KUBE`, where a further name costs nothing."""
FULL_BASE = "localhost/python:3.11-slim"


class BuildFailed(Exception):
    """Its text is the end of the builder's output."""


@dataclass(frozen=True)
class Builder:
    """How images are built and reach the nodes here."""

    build: tuple[str, ...]
    load: Callable[[str], tuple[str, ...]]
    """The command that hands an image to the cluster."""
    retag: Callable[[str, str], list[tuple[str, ...]]]
    """The commands after which the nodes know an image by another name too."""
    arguments: tuple[str, ...] = ()


def name(target: str, tag: str = TAG) -> str:
    """Full name of the image of a target."""
    return f"localhost/spy-smile-{target}:{tag}"


def targets() -> list[str]:
    """The images of the project, as the Dockerfile has them."""
    text = (REPOSITORY / "Dockerfile").read_text()
    return re.findall(r"^FROM runtime AS (\S+)$", text, re.MULTILINE)


def test_targets() -> list[str]:
    """The images that stand beside the release; a database only where none is pulled."""
    return ["test-kafka", "test-proxy", *(["test-timescaledb"] if _stands_in() else [])]


def _stands_in() -> bool:
    return KUBE.exists() and TIMESCALEDB.is_dir()


def builder() -> Builder:
    """What builds here: `kube build`, or docker."""
    if KUBE.exists():
        run([str(KUBE), "base-image"], BUILD_S)
        bases = (f"BUILD_IMAGE={FULL_BASE}", f"BASE_IMAGE={FULL_BASE}-without-wheels",
                 "TORCH_INDEX=")
        return Builder((str(KUBE), "build", "--timestamp", "0"),
                       lambda image: (str(KUBE), "load", image),
                       lambda old, new: [(*CONTAINERD, "images", "tag", "--force", old, new)],
                       tuple(word for each in bases for word in ("--build-arg", each)))
    # An attestation beside an image keeps kind from loading it.
    docker = ("docker", "buildx", "build", "--load", "--provenance=false")
    if shutil.which("kind") is None:  # the nodes share docker's images
        return Builder(docker, lambda _: ("true",),
                       lambda old, new: [("docker", "tag", old, new)])
    kind = ("kind", "load", "docker-image", "--name", os.environ.get("KIND_CLUSTER", "smile"))
    return Builder(docker, lambda image: (*kind, image),
                   lambda old, new: [("docker", "tag", old, new), (*kind, new)])


def build(target: str, by: Builder, tag: str = TAG) -> None:
    """Build one image, or take it from the registry that SMILE_E2E_IMAGES names."""
    context, special, stage = REPOSITORY, [], target
    if target.startswith("test-"):
        context, special = TEST_IMAGES, ["--build-arg", f"KAFKA={COORDINATES}"]
        if _stands_in():
            special += ["--build-context", f"timescaledb={TIMESCALEDB}"]
    elif pushed := os.environ.get("SMILE_E2E_IMAGES"):
        context, stage = TEST_IMAGES, "pushed"
        special = ["--build-arg", f"IMAGE={pushed.replace('TARGET', target)}"]
    run([*by.build, *by.arguments, *special, "--target", stage, "--tag", name(target, tag),
         str(context)], BUILD_S)


def build_all(chosen: Sequence[str], say: Callable[[str], None]) -> None:
    """Build and load; while one image is being loaded the next is being built."""
    by = builder()
    with concurrent.futures.ThreadPoolExecutor(1) as loader:
        loads = []
        for target in chosen:
            begin = time.monotonic()
            build(target, by)
            say(f"built {name(target)} in {time.monotonic() - begin:.0f} s")
            loads.append(loader.submit(run, list(by.load(name(target))), BUILD_S))
        for load in loads:
            load.result()


def retag_all(chosen: Sequence[str], tag: str) -> None:
    """Give images a further tag on the nodes."""
    by = builder()
    for target in chosen:
        for command in by.retag(name(target), name(target, tag)):
            run(list(command), BUILD_S)


def run(command: list[str], timeout_s: float) -> None:
    """Run a command.

    Raises:
        BuildFailed: with the end of what it printed.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout_s)
    if done.returncode:
        raise BuildFailed(f"{' '.join(command[:4])} …: {done.stdout[-3000:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the targets named, or all."""
    parser = argparse.ArgumentParser(prog="tests.e2e.build", description=__doc__)
    parser.add_argument("targets", nargs="*", help="of the Dockerfiles; by default all")
    chosen = parser.parse_args(arguments).targets or [*test_targets(), *targets()]
    try:
        build_all(chosen, lambda line: print(line, flush=True))
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
