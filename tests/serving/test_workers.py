"""Several worker processes are one service to whoever scrapes it."""

import re

import httpx
import pytest

from pipelines.processes import Children
from pipelines.services import is_ready, serve_command
from tests.mlflow_server import free_port
from tests.serving.world import World, bearer


@pytest.mark.slow
def test_the_metrics_are_those_of_all_workers(shop: World) -> None:
    children, port = Children(shop.settings.data / "workers"), free_port()
    url = f"http://127.0.0.1:{port}"
    service = children.start("service", *serve_command(shop.settings, "127.0.0.1", port, workers=2))
    try:
        children.wait_until(service, lambda: is_ready(url), 240)
        for _ in range(40):  # each over a connection of its own: whichever worker takes it
            asked = httpx.post(f"{url}/recommend", json={"history": []}, headers=bearer(shop.secret), timeout=60)
            assert asked.status_code == 200
        for _ in range(6):
            exposed = httpx.get(f"{url}/metrics", timeout=60).text
            counted = re.findall(r'^kindred_requests_total{route="/recommend",status="200"} (\S+)$', exposed, re.M)
            assert counted == ["40.0"]
    finally:
        children.stop()
