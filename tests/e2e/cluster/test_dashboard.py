"""The dashboard in a real browser, through a reverse proxy at the Ingress's host and path."""

import json
import re
import shutil
import sys

import pytest

from tests.e2e.cluster import stack

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def seen(release):
    if shutil.which("chromium") is None and shutil.which("chromium-browser") is None:
        pytest.skip("no Chromium: install it to see the page")
    stack.start_proxy(release)
    ingress = stack.values()["dashboard"]["ingress"]
    folder = stack.screenshot_folder()
    picture = ["--screenshot", str(folder / "cluster.png")] if folder else []
    told = release.run(sys.executable, "-m", "tests.e2e.cluster.page", ingress["host"],
                       ingress["path"], *picture, timeout_s=400)
    return json.loads(told)


def test_the_page_shows_a_smile_and_its_forecast(seen):
    assert seen["width"] > 300
    assert "No smile" not in seen["text"] and "No forecast" not in seen["text"]
    for metric in ("ATM volatility", r"ATM at \d\d:\d\d:\d\d"):
        assert re.search(metric + r"\s+\d+\.\d+%", seen["text"]), seen["text"]
    assert "Traceback" not in seen["text"] and "Error:" not in seen["text"]


def test_the_page_lives_on_a_websocket_below_the_path(seen):
    assert len(seen["sockets"]) == 1
    assert seen["sockets"][0].startswith("ws://smile.example.test")
    assert "/smile/" in seen["sockets"][0]
    assert seen["frames"] > 0


def test_the_page_goes_on_by_itself(seen):
    assert seen["later"] > seen["frames"]


def test_nothing_on_the_page_is_refused(seen):
    assert seen["refused"] == []
