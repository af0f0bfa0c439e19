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
# # Which kinds of customers do we have, and do they keep their names overnight?
#
# Cluster the customers by what the feature store says of their last 30 days, look at what sets the clusters apart, do
# it again a night later, and see who is still where they were. Everything runs on this machine; a small simulated shop
# stands in for yours.

# %%
import contextlib
import time
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars here need no widgets

import altair as alt
import numpy as np
import pandas as pd

from features.offline import EventLog, training_frame
from features.online import connect
from features.settings import from_environment
from models.customers.cluster_columns import table
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.simulate import Shop, events
from training.clusters import assigned, customer_features, train

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000

# %% [markdown]
# ## A shop of 60 days
#
# `parts` starts what no server is configured for: here a Redis, on loopback.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis"))
client = connect(settings.redis)
log = EventLog(settings.data)

shop = Shop(events=15_000, customers=500, items=150, days=60, until=NOW)
(settings.data / "shop.jsonl").write_bytes(b"\n".join(events(shop)))
report = import_events(settings, client, settings.data / "shop.jsonl", mapping_from(""), NOW, lambda done, total: None)
pd.Series({"events": report.accepted, "refused": sum(report.refused.values())})

# %% [markdown]
# ## Last night
#
# How many clusters there are is found: the largest number that one half of the customers confirms for the other
# (prediction strength of 0.8, the dashed line), and where none is confirmed, the strongest. `bootstrap_ari` says how
# alike samples of the customers are divided; 1 is the same.

# %%
last = train(log, NOW - DAY)
strengths = pd.DataFrame(
    [
        {"clusters": int(name.removeprefix("strength_")), "strength": value}
        for name, value in last.metrics.items()
        if name.startswith("strength_")
    ]
)
pd.Series({name: last.metrics[name] for name in ("k", "silhouette", "bootstrap_ari")} | {"customers": last.customers})

# %%
limit = pd.DataFrame({"strength": [last.model.params["strength"]]})
(
    alt.Chart(strengths, title="Prediction strength by number of clusters")
    .mark_line(point=True)
    .encode(x="clusters:O", y=alt.Y("strength:Q", title=None))
    + alt.Chart(limit).mark_rule(strokeDash=[4, 4]).encode(y="strength:Q")
).properties(width=300, height=200)

# %% [markdown]
# ## Tonight
#
# With last night's model, the new clusters take over the ids and names of the old ones that they match.

# %%
tonight = train(log, NOW, previous=last.model)
names = tonight.model.names
sizes = pd.DataFrame(
    [{"cluster": cluster, "name": names[cluster], "customers": n} for cluster, n in tonight.model.sizes.items()]
).assign(share=lambda f: f["customers"] / f["customers"].sum())
sizes

# %%
alt.Chart(sizes, title="Customers active in 30 days, by cluster").mark_bar().encode(
    x=alt.X("share:Q", title=None).axis(format="%"), y=alt.Y("name:N", sort="-x", title=None).axis(labelLimit=360)
).properties(width=330)

# %% [markdown]
# ## What sets them apart
#
# The mean of every feature (as its logarithm) in every cluster, in standard deviations from the mean of all. Names are
# made of the largest ones, at most one for each of recency, frequency, money and browsing.

# %%
rows = customer_features(log, tonight.assigned["user_id"], NOW)
columns = tonight.model.columns
logs = np.log1p(table(columns, rows, tonight.model.rates))
apart = pd.DataFrame((logs - logs.mean(axis=0)) / logs.std(axis=0), columns=[column.name for column in columns])
clusters = tonight.assigned["cluster"].map(names).to_numpy()
profile = apart.groupby(clusters).mean().rename_axis("name").reset_index().melt("name", var_name="feature")
alt.Chart(profile, title="Profile of each cluster").mark_rect().encode(
    x=alt.X("feature:N", sort=list(apart.columns), title=None).axis(labelAngle=-40),
    y=alt.Y("name:N", sort=list(sizes["name"]), title=None).axis(labelLimit=360),
    color=alt.Color("value:Q", title="deviations").scale(scheme="blueorange", domainMid=0),
).properties(width=360, height=40 * len(names))

# %% [markdown]
# ## Do they keep their names?
#
# Last night's model is asked about tonight's features: `kept` is the share of customers to whom both nights give the
# same cluster, `night_ari` the same without regard to names. Beside it who moved because they did something themselves:
# last night's model on last night's features.

# %%
both = pd.DataFrame({"old": assigned(last.model, rows), "new": tonight.assigned["cluster"].to_numpy()})
moved = last.assigned.merge(tonight.assigned, on="user_id", suffixes=("_last", "_tonight"))
pd.Series(
    {
        "kept": tonight.metrics["kept"],
        "night_ari": tonight.metrics["night_ari"],
        "names kept": f"{sum(last.model.names.get(each) == name for each, name in names.items())} of {len(names)}",
        "customers of both nights": len(moved),
        "in the same cluster as last night": float((moved["cluster_last"] == moved["cluster_tonight"]).mean()),
    }
)

# %%
pairs = both.groupby(["old", "new"]).size().reset_index(name="customers")
cells = alt.Chart(pairs).encode(
    x=alt.X("old:O", title="by last night's model").axis(labelAngle=0), y=alt.Y("new:O", title="by tonight's")
)
(
    cells.mark_rect().encode(color=alt.Color("customers:Q", legend=None).scale(scheme="lightgreyteal", type="symlog"))
    + cells.mark_text().encode(text="customers:Q")
).properties(width=60 * len(names), height=40 * len(names), title="The same customers by both models")

# %% [markdown]
# ## One customer
#
# Between nights the model places a customer whenever it is asked. Here one who moved since last night, if anybody did,
# as they were on each of the last fourteen days; `confidence` is 0 halfway to the next cluster, and 1 at the middle of
# their own.

# %%
moved["stayed"] = moved["cluster_last"] == moved["cluster_tonight"]
customer = moved.sort_values(["stayed", "user_id"])["user_id"].iloc[0]
days = [NOW - ago * DAY for ago in range(13, -1, -1)]
wanted = [column.name for column in columns]
told = training_frame(log, pd.DataFrame({"user_id": customer, "as_of": days}), wanted)
placed = pd.DataFrame([tonight.model.assign(row)._asdict() for row in told[wanted].to_dict("records")])
placed["day"] = pd.to_datetime(told["as_of"], unit="ms")
placed.tail(3)

# %%
alt.Chart(placed, title=f"{customer} over two weeks").mark_bar().encode(
    x=alt.X("monthdate(day):O", title=None),
    y=alt.Y("confidence:Q").scale(domain=[0, 1]),
    color=alt.Color("name:N", title=None).legend(orient="bottom", labelLimit=420, columns=1),
).properties(width=420, height=160)

# %%
client.close()
running.close()
