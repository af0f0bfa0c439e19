"""Quality on a real shop: a year of invoices, the last 30 days held out."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.benchmark import Options, benchmark

FILE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "online_retail.csv.gz"


def orders() -> pd.DataFrame:
    """Lines of orders by known customers, of products only; cancellations left out."""
    lines = pd.read_csv(FILE, dtype="str")
    lines = lines[lines["CustomerID"].notna() & ~lines["InvoiceNo"].str.startswith("C")]
    lines = lines[lines["StockCode"].str.match(r"\d{5}")]
    return pd.DataFrame(
        {
            "user_id": lines["CustomerID"],
            "item_id": lines["StockCode"],
            "timestamp": pd.to_datetime(lines["InvoiceDate"]).astype("datetime64[ms]").astype("int64"),
            "event": "Order Completed",
        }
    )


@pytest.mark.slow
@pytest.mark.skipif(not FILE.exists(), reason="Online Retail is not beside this checkout")
def test_als_beats_popularity_and_what_trends_and_on_what_is_new_is_level_with_that() -> None:
    models = ("als", "trending", "popularity")
    for seed in (0, 1, 2):
        found = benchmark(orders(), None, Options("time-split", models=models, ks=(10,), mask=False, seed=seed))
        als, trending, popularity = (found[name] for name in models)
        assert als["ndcg@10_low"] > max(trending["ndcg@10_high"], popularity["ndcg@10_high"]), (seed, found)
        assert als["ndcg@10_new"] > 2 * popularity["ndcg@10_new"], (seed, found)
        assert als["ndcg@10_new"] > 0.97 * trending["ndcg@10_new"], (seed, found)
