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
# # What do the features say, and is what models learn from what the service sees?
#
# Explore the features of a shop, take a training set as it could have been known at the time, and hold the live values
# against the ones recomputed from the event log. Everything runs on this machine; a small simulated shop stands in for
# yours.

# %%
import contextlib
import threading
import time
import warnings

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars here need no widgets

import altair as alt
import numpy as np
import pandas as pd

from features.definitions import FEATURES
from features.events import decode, iso, partition_key
from features.kafka.producer import Producer
from features.offline import EventLog, interactions, training_frame
from features.online import connect
from features.settings import from_environment
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.inventory import definitions, distributions
from pipelines.reconcile import reconcile
from pipelines.simulate import Shop, events
from pipelines.stream import run
from pipelines.stream.latency import STAGES, quantile, together
from pipelines.stream.reports import read_reports

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000

# %% [markdown]
# ## A shop of 120 days
#
# `parts` starts what no server is configured for: here a Redis and a Kafka broker, on loopback.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis", "kafka"))
client = connect(settings.redis)
log = EventLog(settings.data)

shop = Shop(events=12_000, customers=300, items=150, days=120, until=NOW - DAY)
(settings.data / "shop.jsonl").write_bytes(b"\n".join(events(shop)))
report = import_events(settings, client, settings.data / "shop.jsonl", mapping_from(""), NOW, lambda done, total: None)
pd.Series({"events": report.accepted, "refused": sum(report.refused.values())})

# %% [markdown]
# ## The features
#
# One line of `features/definitions.py` each. `coverage` is the share of customers for whom anything was counted.

# %%
rows = distributions(client, settings.buckets, FEATURES, definitions(FEATURES), 300, NOW)
inventory = pd.DataFrame(rows)
inventory[["name", "entity", "definition", "type", "coverage", "distribution"]].head(12)

# %%
covered = inventory[inventory["coverage"] != ""].assign(share=lambda f: f["coverage"].str.rstrip("%").astype(float))
alt.Chart(covered[covered["share"] > 0], title="Customers that have it, percent").mark_bar().encode(
    x=alt.X("share:Q", title=None), y=alt.Y("name:N", sort="-x", title=None)
).properties(width=420)

# %% [markdown]
# ## A training set
#
# For each customer on each of three days: what could be known then, and whether an order followed within 30 days.
# Nothing that happened or arrived later reaches the features.

# %%
bought = interactions(log)
customers = sorted(bought["user_id"].unique())
days = [NOW - ago * DAY for ago in (91, 61, 31)]
labels = pd.DataFrame([{"user_id": customer, "as_of": day} for customer in customers for day in days])
wanted = ["views_7d", "views_30d", "adds_30d", "orders_90d", "since_order", "cart_rate_30d", "favourite_category_90d"]
frame = training_frame(log, labels, wanted)

orders = bought[bought["event"] == "Order Completed"].groupby("user_id")["timestamp"].apply(np.array).to_dict()
frame["buys"] = [
    bool(np.any((orders.get(user, np.array([])) > day) & (orders.get(user, np.array([])) <= day + 30 * DAY)))
    for user, day in zip(frame["user_id"], frame["as_of"], strict=True)
]
frame.head()

# %%
frame["views"] = pd.cut(frame["views_30d"], [-1, 0, 2, 5, 10, 10_000], labels=["0", "1-2", "3-5", "6-10", "more"])
shares = frame.groupby("views", observed=True)["buys"].agg(["mean", "size"]).reset_index()
alt.Chart(shares, title="Share that orders within 30 days, by views in the 30 days before").mark_bar().encode(
    x=alt.X("views:N", sort=None, title="views"),
    y=alt.Y("mean:Q", title=None).axis(format="%"),
    tooltip=["size:Q"],
).properties(width=360, height=220)

# %% [markdown]
# ## Parity
#
# The same question twice: the live profile in Redis, and the event log at this moment. And for every customer, as
# `kindred reconcile` does in the quiet hours.

# %%
offline = training_frame(log, pd.DataFrame({"user_id": customers, "as_of": NOW}), wanted)
compared = reconcile(client, log, settings.buckets, FEATURES, NOW, repair=False)
pd.Series({"customers compared": compared.customers, "wrong": compared.wrong, "rows of the frame": len(offline)})

# %% [markdown]
# ## Freshness
#
# A stream processor takes new events from Kafka while they arrive; it says where the time goes, stage by stage.

# %%
stopping = threading.Event()
worker = threading.Thread(target=run, args=(settings, connect(settings.redis), stopping.is_set))
worker.start()
producer = Producer(settings.kafka, linger_ms=0)
live = Shop(events=600, customers=60, items=150, days=1, until=NOW)
for number, raw in enumerate(events(live)):
    moment = time.time_ns() // 1_000_000
    event = decode(raw, moment)
    producer.send("events", partition_key(event), raw.replace(iso(event.event_time).encode(), iso(moment).encode()))
    if number % 10 == 0:
        producer.flush()
        time.sleep(0.01)
producer.close()

while not any(found["counted"]["events"] >= 500 for found in read_reports(client)):
    time.sleep(0.2)
stages = together(read_reports(client))
stopping.set()
worker.join()
latency = pd.DataFrame(
    [{"stage": stage, "quantile": f"p{q:.0%}".rstrip("%"), "ms": quantile(stages[stage], q)}
     for stage in STAGES for q in (0.5, 0.99)]
)  # fmt: skip
latency.pivot(index="stage", columns="quantile", values="ms").loc[list(STAGES)]

# %%
alt.Chart(latency, title="From an event's arrival to its state in Redis, ms").mark_bar().encode(
    x=alt.X("ms:Q").scale(type="symlog"),
    y=alt.Y("stage:N", sort=list(STAGES), title=None),
    yOffset="quantile:N",
    color="quantile:N",
).properties(width=420)

# %%
client.close()
running.close()
