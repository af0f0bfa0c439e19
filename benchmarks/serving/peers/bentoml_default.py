"""BentoML as its documentation has it: a typed method that returns a dict, over the same engine; no key is asked for.

Its settings are BentoML's own: access log, metrics and tracing as they come.
"""

from typing import Any

import bentoml
import msgspec
from threadpoolctl import threadpool_limits

from features.settings import from_environment
from serving.engine import Engine
from serving.schema import parse_recommend


@bentoml.service(name="bentoml_default", workers=1)
class Slates:
    """Slates by user_id."""

    @bentoml.on_startup
    async def start(self) -> None:
        """Load everything."""
        threadpool_limits(1)
        self.engine = Engine(from_environment())
        await self.engine.start()

    @bentoml.api
    async def recommend(self, user_id: str, n: int = 10, limits: Any = None, exclude: Any = None) -> dict[str, Any]:
        """A slate for a customer."""
        asked = {"user_id": user_id, "n": n, "filter": limits or {}, "exclude": exclude or []}
        found: dict[str, Any] = msgspec.to_builtins(
            await self.engine.recommend(parse_recommend(msgspec.json.encode(asked)))
        )
        return found


service: Any = Slates
