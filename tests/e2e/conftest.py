"""A cluster for tests that leave the release of `cluster/` alone."""

import fcntl
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import stack
from tests.e2e.cluster.conftest import LOCK
from tests.e2e.cluster.tools import Cluster, find


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster that is up; down again at the end if it was down, and nobody else uses it."""
    found = find()
    if isinstance(found, str):
        pytest.skip(found)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            began = stack.up(found)
        except BlockingIOError:  # other tests hold it, and with it the cluster
            began = False
        yield found
        if began:
            stack.down(found)
