"""Open the dashboard in Chromium through the reverse proxy; prints what is on it, as JSON.

    python -m tests.e2e.cluster.page HOST PATH [--screenshot FILE]

Run where kubectl reaches the cluster: the proxy's Service is forwarded to a port of this machine,
and the browser takes HOST for that machine.
"""

import argparse
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, sync_playwright

from tests.e2e.cluster.tools import NAMESPACE

PATIENCE_MS = 90_000


@contextlib.contextmanager
def forwarded(service: str, port: int) -> Iterator[int]:
    """A port of this machine behind which a Service is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        local = free.getsockname()[1]
    process = subprocess.Popen(["kubectl", "-n", NAMESPACE, "port-forward", f"service/{service}",
                                f"{local}:{port}"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", local), 1).close()
                break
            time.sleep(0.1)
        yield local
    finally:
        process.terminate()
        process.wait()


def look(page: Page, url: str) -> dict[str, object]:
    """What a viewer sees and what the browser spoke."""
    sockets: list[str] = []
    frames: list[int] = []
    bad: list[str] = []

    def spoke(ws: object) -> None:
        sockets.append(ws.url)  # type: ignore[attr-defined]
        ws.on("framereceived", lambda data: frames.append(len(data)))  # type: ignore[attr-defined]

    page.on("websocket", spoke)
    page.on("response", lambda answer: bad.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 else None)
    page.goto(url)
    chart = page.locator("[data-testid='stVegaLiteChart'] canvas, "
                         "[data-testid='stVegaLiteChart'] svg").first
    chart.wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Forecast", exact=True).first.wait_for(timeout=PATIENCE_MS)
    received = len(frames)
    page.wait_for_timeout(6000)
    box = chart.bounding_box() or {}
    return {"url": page.url, "sockets": sockets, "frames": received, "later": len(frames),
            "refused": bad, "width": box.get("width", 0), "text": page.inner_text("body")[:4000]}


def main() -> int:
    """Look once."""
    parser = argparse.ArgumentParser(prog="tests.e2e.cluster.page")
    parser.add_argument("host")
    parser.add_argument("path")
    parser.add_argument("--screenshot")
    chosen = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    with forwarded("proxy", 80) as port, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser,
            args=["--no-sandbox", f"--host-resolver-rules=MAP {chosen.host} 127.0.0.1"])
        page = chromium.new_page(viewport={"width": 1400, "height": 1200})
        try:
            seen = look(page, f"http://{chosen.host}:{port}{chosen.path}")
        except PlaywrightError as error:
            text = page.inner_text("body") if page.locator("body").count() else ""
            print(f"{error}\non the page: {text[:2000]}", file=sys.stderr)
            return 1
        finally:
            if chosen.screenshot:
                page.screenshot(path=chosen.screenshot)
            chromium.close()
    json.dump(seen, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
