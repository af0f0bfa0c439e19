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
# # Who else is like our best customers?
#
# Take the best customers as a seed audience, find those most like them, and know beforehand how good such a list is:
# half of the seed is hidden and has to be found. Everything runs on this machine; a small simulated shop stands in for
# yours.

# %%
import contextlib
import time
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars here need no widgets

import altair as alt
import numpy as np
import pandas as pd

from features.offline import EventLog, interactions
from features.online import connect
from features.settings import from_environment
from models.customers.customer_space import ACTIVITY, CustomerSpace
from models.customers.lookalike import Lookalike
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.simulate import Shop, catalogue, events
from training import datasets
from training.audiences import halves
from training.lookalike import best, customers, train
from training.splits import time_split

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
HOLDOUT = 40 * DAY

# %% [markdown]
# ## A shop of 120 days
#
# `parts` starts what no server is configured for: here a Redis, on loopback. Of the interactions those of
# customers who have signed in: nobody else can be written to.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis"))
client = connect(settings.redis)

shop = Shop(events=40_000, customers=1_500, items=200, days=120, until=NOW)
(settings.data / "shop.jsonl").write_bytes(b"\n".join(events(shop)))
report = import_events(settings, client, settings.data / "shop.jsonl", mapping_from(""), NOW, lambda done, total: None)
titles = {message["item_id"]: message["title"] for message in catalogue(shop)}
frame = interactions(EventLog(settings.data))
frame = frame[frame["user_id"].str.startswith("u:")]
pd.Series({"events": report.accepted, "interactions": len(frame), "customers": frame["user_id"].nunique()})

# %% [markdown]
# ## How well are best customers found?
#
# Best are the tenth of the buyers who order most often. Measured on those of the last 40 days: customers are placed by
# what they did *before*, half of the audience is the seed, and the other half has to be found among everybody else. The
# peer to beat is "whoever is most active"; where the list does no better than that, take the simpler one. In a
# simulated shop whoever comes often buys often, which makes it a hard peer.

# %%
fitted = train(frame, HOLDOUT)
measured = ["auc", "recall_at_size", "lift@1", "lift@5", "lift@10"]
pd.DataFrame(
    [
        {
            "metric": name,
            "lookalike": fitted.metrics[name],
            "spread": fitted.metrics[f"{name}_spread"],
            "activity": fitted.metrics[f"activity_{name}"],
        }
        for name in measured
    ]
).set_index("metric").round(3)

# %% [markdown]
# ## The lift curve
#
# The same protocol by hand, with twenty draws of the halves: of the hidden half, the share that is among the first of
# the list. The band is where the middle 80% of the draws lie; the gray line is a list in random order.

# %%
rows = datasets.checked(frame)
parted = time_split(rows, HOLDOUT)
before = datasets.interactions(parted.fit)
cut = int(rows["timestamp"].max()) + 1 - HOLDOUT
told = customers(CustomerSpace(seed=0).fit(before), before, cut)
members = before.users.rows(best(parted.test))
active = before.histories.counts


def curve(scores: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Share of the hidden members in the first 0% to 100%; ties by row."""
    found = np.cumsum(hidden[np.argsort(-scores, kind="stable")]) / hidden.sum()
    return np.interp(np.linspace(0, 1, 41), np.arange(len(hidden) + 1) / len(hidden), np.concatenate([[0], found]))


drawn = []
for seed in range(20):
    known, wanted = halves(members, seed)
    left = np.setdiff1d(np.arange(len(active)), known)
    hidden = np.isin(left, wanted)
    scores = Lookalike(seed=seed).fit(told.vectors, known, told.features).score(told.vectors, told.features)
    for name, values in (("lookalike", scores), ("activity", active)):
        found = curve(values[left], hidden)
        drawn += [{"list": name, "first": at / 40, "found": share} for at, share in enumerate(found)]
by = pd.DataFrame(drawn).groupby(["list", "first"])["found"]
curves = by.agg(found="mean", low=lambda f: f.quantile(0.1), high=lambda f: f.quantile(0.9)).reset_index()

# %%
x = alt.X("first:Q", title="first customers of the list").axis(format="%")
base = alt.Chart(curves).encode(x=x, color=alt.Color("list:N", title=None))
chance = alt.Chart(pd.DataFrame({"first": [0, 1], "found": [0, 1]})).mark_line(color="gray", strokeDash=[4, 4])
(
    base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="hidden members found").axis(format="%"), y2="high:Q")
    + base.mark_line().encode(y="found:Q")
    + chance.encode(x=x, y="found:Q")
).properties(width=400, height=280, title=f"How many of {hidden.sum()} hidden best customers a list finds")

# %% [markdown]
# ## The audience
#
# For use, everything is learned from: the seed are the best customers of the last 40 days, the audience the twenty most
# like them who aren't in it. `similarity` orders customers; it is no probability.

# %%
everything = datasets.interactions(rows)
until = int(rows["timestamp"].max()) + 1
final = customers(fitted.space, everything, until)
seeds = everything.users.rows(fitted.audience)
audience, similarity = fitted.model.expand(final.vectors, 20, exclude=seeds, features=final.features)
orders = rows[rows["event"] == "Order Completed"].drop_duplicates(["user_id", "timestamp"]).groupby("user_id").size()
expanded = pd.DataFrame(
    {
        "customer": everything.users.names(audience),
        "similarity": similarity.astype(float),
        "events": everything.histories.counts[audience],
        "orders": orders.reindex(everything.users.names(audience)).fillna(0).astype(int).to_numpy(),
    }
)
expanded.head(10)

# %%
centred = final.vectors - final.vectors.mean(axis=0)
flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
kind = np.full(len(flat), "others", dtype=object)
kind[seeds], kind[audience] = "seed", "audience"
places = pd.DataFrame({"x": flat[:, 0], "y": flat[:, 1], "customer": kind, "layer": kind != "others"})
alt.Chart(places, title="Customers by what they look at and buy, flattened to two dimensions").mark_circle(
    size=40
).encode(
    x=alt.X("x:Q", title=None).axis(labels=False),
    y=alt.Y("y:Q", title=None).axis(labels=False),
    color=alt.Color("customer:N", title=None).scale(
        domain=["others", "seed", "audience"], range=["#dddddd", "#1f4e9c", "#f58518"]
    ),
    order=alt.Order("layer:Q"),
).properties(width=400, height=300)

# %% [markdown]
# ## Why the first of them?
#
# Likeness is the sum of what a customer is known for: how much and how lately they did something, compared with the
# average customer, and the items of their history, of which each draws them towards the seed or away from it.

# %%
first = int(audience[0])
explained = fitted.model.explain(final.vectors[first], final.features[first])
history = everything.histories[first]
moved = pd.DataFrame(
    {
        "reason": [titles[item] for item in everything.items.names(history.items)],
        "log-odds": fitted.space.contributions(history, explained.direction).astype(float),
    }
)
moved = moved.groupby("reason", as_index=False)["log-odds"].sum().assign(what="items")
largest = moved.reindex(moved["log-odds"].abs().sort_values(ascending=False).index).head(8)
known_for = pd.DataFrame({"reason": ACTIVITY, "log-odds": explained.features.astype(float), "what": "activity"})
reasons = pd.concat([known_for, largest])
alt.Chart(
    reasons, title=f"{expanded['customer'][0]}: similarity {similarity[0]:.2f}, cosine {explained.cosine:.2f}"
).mark_bar().encode(
    x="log-odds:Q",
    y=alt.Y("reason:N", sort=None, title=None).axis(labelLimit=260),
    color=alt.Color("what:N", title=None),
).properties(width=330)

# %%
client.close()
running.close()
