# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can a first model beat "show what is popular"?
#
# From a CSV of events to a registered challenger in one sitting. Put your own file into `CSV` and name its columns in
# `COLUMNS`; without one, a small simulated shop stands in. Everything runs on this machine, in the folder `.kindred`.

# %%
import contextlib
import os
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars here need no widgets

import altair as alt
import pandas as pd

from features.offline import EventLog, interactions
from features.online import connect
from features.settings import from_environment
from models.registry import Registry
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.training import train_models

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

CSV = os.environ.get("CSV", "")
COLUMNS = os.environ.get("COLUMNS", "user_id=customer,event=what,product_id=sku,quantity=pieces,timestamp=time")
NOW = time.time_ns() // 1_000_000

# %% [markdown]
# ## The file
#
# One row is one customer meeting one item: a view, a cart, a line of an order. Any CSV, Parquet or JSONL file will do;
# `COLUMNS` says which column is what.

# %%
if not CSV:
    from features.events import decode
    from pipelines.simulate import Shop, events

    shop = Shop(events=15_000, customers=250, items=200, days=90, until=NOW)
    met = [event for event in (decode(raw, NOW) for raw in events(shop)) if event.lines and event.user_id]
    rows = [
        {
            "customer": event.user_id,
            "what": event.name,
            "sku": line.item_id,
            "pieces": line.quantity or 1,
            "time": pd.Timestamp(event.event_time, unit="ms", tz="UTC").isoformat(),
        }
        for event in met
        for line in event.lines
    ]
    CSV = "events.csv"
    pd.DataFrame(rows).to_csv(CSV, index=False)

pd.read_csv(CSV, nrows=5)

# %% [markdown]
# ## Into Kindred
#
# `parts` starts what no server is configured for: here a Redis and an MLflow server, on loopback. The import writes the
# event log and folds it into live profiles; running it again changes nothing.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis", "mlflow"))
report = import_events(
    settings, connect(settings.redis), Path(CSV), mapping_from(COLUMNS), NOW, progress=lambda done, total: None
)
pd.Series({"events": report.accepted, "refused": sum(report.refused.values()), "already there": report.known})

# %% [markdown]
# ## What is in it
#
# Models learn from interactions: who met which item, when, in which way.

# %%
frame = interactions(EventLog(settings.data))
frame["day"] = pd.to_datetime(frame["timestamp"], unit="ms").dt.floor("D")
frame.head()

# %%
daily = frame.groupby("day").size().reset_index(name="interactions")
counts = frame.groupby("item_id").size().sort_values(ascending=False).reset_index(name="interactions")
counts["rank"] = counts.index + 1
(
    alt.Chart(daily, title="Interactions a day")
    .mark_area(opacity=0.6)
    .encode(x="day:T", y="interactions:Q")
    .properties(width=330)
    | alt.Chart(counts, title="Few items take most of them")
    .mark_line()
    .encode(x=alt.X("rank:Q", title="item, most wanted first"), y=alt.Y("interactions:Q").scale(type="symlog"))
    .properties(width=330)
)

# %% [markdown]
# ## Train, measure, register
#
# The last two weeks are held out: models are fitted on what came before and ranked against what customers then did,
# over the whole catalogue. Then each is fitted again on everything and registered as a challenger.

# %%
trained = train_models(settings, ["als", "trending"], (None, None), 14 * 86_400_000, 0, lambda done, total: None)
metrics = pd.DataFrame(
    [{"model": each.name, "metric": name, "value": value} for each in trained for name, value in each.metrics.items()]
)
table = metrics.pivot(index="metric", columns="model", values="value")
table

# %%
shown = metrics[metrics["metric"].isin(["ndcg@10", "recall@10", "hr@10", "coverage@10"])]
alt.Chart(shown, title="ALS against popularity, on the days after training").mark_bar().encode(
    x=alt.X("model:N", title=None),
    y=alt.Y("value:Q", title=None),
    color=alt.Color("model:N", legend=None),
    column=alt.Column("metric:N", title=None),
).properties(width=110, height=180)

# %% [markdown]
# ## In the registry
#
# The versions wait as `challenger`. `kindred promote als 1` (or `kindred models` to look first) makes one the champion;
# a running service follows within a second.

# %%
with Registry(settings.mlflow) as registry:
    challenger = registry.alias("als", "challenger")
pd.Series({"model": challenger.name, "version": challenger.version, "aliases": ", ".join(challenger.aliases)})

# %%
running.close()
