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
from training.trainer import Recipe, train

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

CSV = os.environ.get("CSV", "")
COLUMNS = os.environ.get("COLUMNS", "user_id=customer,event=what,product_id=sku,quantity=pieces,timestamp=time")
NOW = time.time_ns() // 1_000_000
HOLDOUT = 14 * 86_400_000

# %% [markdown]
# ## The file
#
# One row is one customer meeting one item: a view, a cart, a line of an order. Any CSV, Parquet or JSONL file will do;
# `COLUMNS` says which column is what.

# %%
if not CSV:
    from features.events import decode
    from pipelines.simulate import Shop, events

    shop = Shop(events=25_000, customers=400, items=200, days=90, until=NOW)
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
MODELS = ["als", "graph_filter", "trending"]
trained = train_models(settings, MODELS, (None, None), HOLDOUT, 0, lambda done, total: None)
metrics = pd.DataFrame(
    [{"model": each.name, "metric": name, "value": value} for each in trained for name, value in each.metrics.items()]
)
table = metrics.pivot(index="metric", columns="model", values="value")
table.loc[
    [
        "ndcg@10",
        "recall@10",
        "hr@10",
        "ndcg@10_new",
        "coverage@10",
        "novelty@10",
        "diversity@10",
        "users",
        "fit_seconds",
    ]
].round(3)

# %% [markdown]
# `_new` is without what a customer had met before. Bars end at the mean over customers, lines are its 95% interval:
# where two of them overlap widely, more customers or more days are needed to choose. Coverage is the share of the
# catalogue that is shown to anybody, novelty how unexpected it is, in bits.

# %%
bounded = ["ndcg@10", "ndcg@10_new", "recall@10"]
shown = pd.DataFrame(
    [
        {"model": model, "metric": name, **dict(zip(["mean", "low", "high"], ends, strict=True))}
        for model in MODELS
        for name in bounded
        for ends in [table.loc[[name, f"{name}_low", f"{name}_high"], model]]
    ]
)
base = alt.Chart(shown).encode(x=alt.X("model:N", sort=MODELS, title=None).axis(labelAngle=-30))
alt.layer(
    base.mark_bar().encode(y=alt.Y("mean:Q", title=None), color=alt.Color("model:N", legend=None)),
    base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
).properties(width=150, height=180).facet(
    column=alt.Column("metric:N", title=None), title="Three models on the days after training"
)

# %% [markdown]
# ## In the registry
#
# The versions wait as `challenger`. `kindred promote als 1` (or `kindred models` to look first) makes one the champion
# if it passes the gates; a running service follows within a second. From then on, every challenger is compared with it.

# %%
with Registry(settings.mlflow) as registry:
    waiting = [registry.alias(name, "challenger") for name in MODELS]
pd.DataFrame([{"model": each.name, "version": each.version, "aliases": ", ".join(each.aliases)} for each in waiting])

# %% [markdown]
# ## Would another recipe do better?
#
# As `kindred train` compares a challenger with the champion: both recipes are fitted on the same past and measured on
# the same customers, and what decides is the interval of the difference. Here smaller vectors against the default.

# %%
smaller = train(Recipe("als", params={"embedding_size": 16}), frame, HOLDOUT, rival=Recipe("als"))
gains = ["ndcg@10", "rival_ndcg@10", "gain_ndcg@10", "gain_ndcg@10_low", "gain_ndcg@10_high"]
pd.Series({name: smaller.metrics[name] for name in gains}).round(4)

# %%
running.close()
