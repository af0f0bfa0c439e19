"""Jobs decide exactly as the service does: from `serving/decide` alone, they get the slates that it answers with."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from features.settings import Settings
from serving.decide.asked import Stated, asked_by
from serving.decide.decision import decide
from serving.decide.state import Policy
from serving.engine import Engine
from serving.schema import RecommendRequest, Touched
from tests.profiles import message, profile
from tests.serving.decide.fake import shop, state

ROOT = Path(__file__).parents[3]
NOW = 1_767_268_800_000
MADE = replace(
    state({"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, shop("a", "b", "c", "d", "e"), {"e": 7.0}),
    policy=Policy(exploration=0.5),
)
KNOWN = profile(message(0, "Product Viewed", "a", at=NOW - 2_000), message(1, "Order Completed", "b", at=NOW - 1_000))


def test_a_job_gets_the_slates_that_the_service_answers_with(tmp_path: Path) -> None:
    engine = Engine(Settings(tmp_path, redis="redis://127.0.0.1:1", mlflow="http://127.0.0.1:1"))
    engine.follower.state = MADE
    engine.now = lambda: NOW

    class Profiles:
        async def profile(self, _customer: str, _merge: bool) -> object:
            return KNOWN

    engine.profiles = Profiles()  # type: ignore[assignment]
    for user in range(20):
        said = (Touched(item_id="c", event="Product Added"),)
        answer = asyncio.run(
            engine.recommend(RecommendRequest(user_id=f"u{user}", n=3, history=said, placement="home"))
        )
        asked = asked_by(KNOWN, [Stated("c", "Product Added")], NOW, f"u:u{user}")
        decision = decide(MADE, replace(asked, n=3, placement="home"))
        assert [(each.item_id, each.score) for each in answer.items] == [
            (each.item_id, each.score) for each in decision.slate
        ]
    engine.follower.models.close()


def test_deciding_loads_neither_http_nor_the_rest_of_the_service() -> None:
    program = """
import sys, serving.decide.decision
loaded = {name for name in sys.modules if name.split(".")[0] in ("starlette", "bentoml", "uvicorn", "redis", "serving")}
sys.exit(str(loaded) if any(not name.startswith("serving.decide") for name in loaded - {"serving"}) else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
