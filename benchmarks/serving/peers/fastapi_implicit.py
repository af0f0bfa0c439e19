"""FastAPI with implicit, as its tutorials have it: the history as JSON from Redis, `recommend(recalculate_user=True)`.

It filters in Python what the catalogue says isn't in stock or outside the limits, gives no reasons, logs nothing.
"""

import json
import sys
from typing import Any

import numpy as np
import redis.asyncio
import uvicorn
from fastapi import FastAPI
from implicit.cpu.als import AlternatingLeastSquares
from pydantic import BaseModel
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

OVERFETCH = 200


class Limits(BaseModel):
    """What a slate is limited to."""

    category: list[str] = []
    max_price: float | None = None


class Asked(BaseModel):
    """One question."""

    user_id: str
    n: int = 10
    filter: Limits = Limits()
    exclude: list[str] = []


def application(folder: str, redis_url: str) -> FastAPI:
    """The service over the factors and the catalogue in a folder."""
    with np.load(f"{folder}/arrays.npz") as stored:
        factors, regularization = stored["factors"], float(stored["regularization"])
    with open(f"{folder}/items.json") as file:  # noqa: PTH123 - as tutorials have it
        ids: list[str] = json.load(file)
    with open(f"{folder}/catalogue.json") as file:  # noqa: PTH123
        catalogue: dict[str, dict[str, Any]] = json.load(file)
    model = AlternatingLeastSquares(factors=factors.shape[1], regularization=regularization, num_threads=1)
    model.item_factors = factors
    model.user_factors = np.zeros((1, factors.shape[1]), dtype=np.float32)
    rows = {item_id: row for row, item_id in enumerate(ids)}
    client = redis.asyncio.Redis.from_url(redis_url)
    app = FastAPI()

    @app.post("/recommend")
    async def recommend(asked: Asked) -> dict[str, Any]:
        history = json.loads(await client.get(f"history:{asked.user_id}") or "{}")
        known = [(rows[item_id], weight) for item_id, weight in history.items() if item_id in rows]
        at, weights = [row for row, _ in known], [weight for _, weight in known]
        taken = csr_matrix((weights, ([0] * len(at), at)), shape=(1, len(ids)), dtype=np.float32)
        found, scores = model.recommend(
            0, taken[0], N=OVERFETCH, filter_already_liked_items=True, recalculate_user=True
        )
        items: list[dict[str, Any]] = []
        for row, score in zip(found, scores, strict=True):
            item = catalogue[ids[row]]
            if (
                item["in_stock"]
                and ids[row] not in asked.exclude
                and (not asked.filter.category or item["category"] in asked.filter.category)
                and (asked.filter.max_price is None or item["price"] <= asked.filter.max_price)
            ):
                items.append({"item_id": ids[row], "score": float(score), "rank": len(items) + 1})
            if len(items) == asked.n:
                break
        return {"items": items}

    return app


if __name__ == "__main__":
    threadpool_limits(1)
    uvicorn.run(application(sys.argv[2], sys.argv[3]), port=int(sys.argv[1]), log_level="error")
