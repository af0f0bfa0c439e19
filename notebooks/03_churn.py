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
# # Who is about to leave, and can the probability be believed?
#
# In a shop nobody cancels: a customer who will order nothing within the horizon has left. Learn that from the event log
# at many moments of the past, measure it on newer ones, hold it against two simpler answers, and ask why. Everything
# runs on this machine; a small simulated shop stands in for yours.

# %%
import contextlib
import time
import warnings
from dataclasses import replace

warnings.filterwarnings("ignore", message="IProgress not found")  # progress bars here need no widgets

import altair as alt
import numpy as np
import pandas as pd

from features.offline import EventLog, training_frame
from features.online import connect
from features.settings import from_environment
from models.customers.calibration import reliability
from models.customers.churn import Churn
from models.customers.churn_inputs import inputs_of, wanted
from models.registry import Registry
from pipelines.benchmark_churn import benchmark_log
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.simulate import Shop, events
from pipelines.training import train_models
from training.churn import Task, examples, split
from training.classification import measure

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000

# %% [markdown]
# ## A shop of 330 days
#
# `parts` starts what no server is configured for: here a Redis and an MLflow server, on loopback.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis", "mlflow"))
client = connect(settings.redis)
log = EventLog(settings.data)

shop = Shop(events=22_000, customers=200, items=150, days=330, until=NOW)
(settings.data / "shop.jsonl").write_bytes(b"\n".join(events(shop)))
report = import_events(settings, client, settings.data / "shop.jsonl", mapping_from(""), NOW, lambda done, total: None)
pd.Series({"events": report.accepted, "refused": sum(report.refused.values())})

# %% [markdown]
# ## What is learned from, and what is measured on
#
# A row is a customer at a moment: features as they were known then, and whether an order came in the 30 days after. The
# newest four moments are for measuring. Whatever is learned from had its outcome before the first of them.

# %%
task = Task(horizon=30 * DAY)
rows = examples(log, task)
before, after = split(rows, task)
pd.DataFrame(
    [
        {
            "part": part,
            "first moment": pd.Timestamp(int(side.as_of.min()), unit="ms").date(),
            "last outcome": pd.Timestamp(int(side.as_of.max()) + task.horizon, unit="ms").date(),
            "moments": len(np.unique(side.as_of)),
            "customers": len(np.unique(side.customer)),
            "rows": len(side),
            "churned": f"{side.churned.mean():.0%}",
        }
        for part, side in (("learned from", before), ("measured on", after))
    ]
).set_index("part")

# %% [markdown]
# ## Can it be believed?
#
# Of the customers that were given about 70%, about 70% should leave. A point is a tenth of the scale, its size how many
# rows it holds. Where its bar (95%, rows taken as independent) crosses the line, chance alone explains the distance;
# where there are few rows, it says little.

# %%
model = Churn(seed=0).fit(before.inputs, before.churned, before.customer)
told = model.predict(after.inputs)
bins = pd.DataFrame(reliability(told, after.churned))
chance = 1.96 * np.sqrt(bins["predicted"] * (1 - bins["predicted"]) / bins["rows"])
bins = bins.assign(low=(bins["observed"] - chance).clip(lower=0), high=(bins["observed"] + chance).clip(upper=1))
bins

# %%
share = alt.Scale(domain=[0, 1])
truth = pd.DataFrame({"predicted": [0.0, 1.0], "observed": [0.0, 1.0]})
x, y = alt.X("predicted:Q", title="probability given").scale(share), alt.Y("observed:Q", title="share that left")
points = alt.Chart(bins).encode(x=x)
diagram = (
    alt.Chart(truth).mark_line(strokeDash=[4, 4], color="gray").encode(x=x, y=y)
    + points.mark_rule().encode(y=alt.Y("low:Q", title="share that left").scale(share), y2="high:Q")
    + points.mark_circle(opacity=1).encode(y=y, size=alt.Size("rows:Q", legend=None))
)
counts = (
    alt.Chart(pd.DataFrame({"probability": told.astype(float)}))
    .mark_bar()
    .encode(
        x=alt.X("probability:Q", title="probability given").bin(step=0.1).scale(share), y=alt.Y("count()", title="rows")
    )
)
alt.vconcat(
    diagram.properties(width=330, height=280, title="Given and come true"), counts.properties(width=330, height=80)
)

# %% [markdown]
# ## Does it last?
#
# The same question, month by month, to a model that was fitted once and then left alone: of the customers asked about
# in a month, the mean probability it gave and the share that left. The bar is chance alone (95%, rows taken as
# independent, which weekly moments of one customer are not quite). Where the two part for good, the shop has changed,
# and it is time to fit again; the AUC says whether it still tells one customer from another.

# %%
early, later = split(rows, replace(task, measured=16))
frozen = Churn(seed=0).fit(early.inputs, early.churned, early.customer)
review = pd.DataFrame(
    {
        "month": pd.to_datetime(later.as_of, unit="ms").strftime("%Y-%m"),
        "given": frozen.predict(later.inputs).astype(float),
        "left": later.churned,
    }
)
months = pd.DataFrame(
    [
        {
            "month asked": month,
            "rows": len(part),
            "given": part["given"].mean(),
            "left": part["left"].mean(),
            "chance": 1.96 * np.sqrt((part["given"] * (1 - part["given"])).sum()) / len(part),
            **{name: value for name, value in found.items() if name in {"auc", "ece"}},
        }
        for month, part in review.groupby("month")
        for found in [measure(part["given"].to_numpy(), part["left"].to_numpy())]
    ]
)
months.round(3)

# %%
by_month = alt.Chart(months).encode(x=alt.X("month asked:O", title="month asked"))
given = by_month.transform_calculate(low="datum.given - datum.chance", high="datum.given + datum.chance")
y = alt.Y("given:Q", title="given (tick), left (dot)").scale(share)
(
    given.mark_rule().encode(y=alt.Y("low:Q", title="given (tick), left (dot)").scale(share), y2="high:Q")
    + given.mark_tick(color="black", size=16).encode(y=y)
    + by_month.mark_circle(opacity=1, size=60).encode(y=alt.Y("left:Q", title="given (tick), left (dot)"))
).properties(width=330, height=200, title="Given and come true, by the month of asking")

# %% [markdown]
# ## Is it better than a simple rule?
#
# `recency` knows only how long ago the last order was. BG/NBD (2005) knows when each customer ordered, and needs no
# labels: its chance of no order within the horizon. All are asked about the same rows, as by `kindred benchmark churn`.
# With no more customers than here, close ones could come in any order.

# %%
found = benchmark_log(log, task, seeds=(0,))
asked = ["churn", "recency", "bg_nbd"]
peers = pd.DataFrame([{"model": name, **found[name]} for name in asked]).set_index("model")
peers[["auc", "pr_auc", "log_loss", "brier", "ece"]]

# %%
shown = peers[["auc", "ece"]].reset_index().melt("model", var_name="metric")
alt.Chart(shown, title="AUC (0.5 is a coin, more is better) and calibration error (less is better)").mark_bar().encode(
    x=alt.X("value:Q", title=None),
    y=alt.Y("model:N", sort=asked, title=None),
    color=alt.Color("model:N", legend=None),
    row=alt.Row("metric:N", title=None),
).resolve_scale(x="independent").properties(width=380, height=80)

# %% [markdown]
# ## Into the registry
#
# `kindred train churn` does the same: fit on the past, measure on the newest moments, fit again on all of them so that
# the newest are known too, and register what came out as `challenger`.

# %%
trained = train_models(settings, ["churn"], (None, None), task.horizon, 0, lambda done, total: None)[0]
with Registry(settings.mlflow) as registry:
    challenger = registry.alias("churn", "challenger")
    registered = Churn.load(registry.download(challenger, settings.data / "models"))
pd.Series(
    {
        "version": f"{challenger.name} {challenger.version} ({', '.join(challenger.aliases)})",
        "auc": round(trained.metrics["auc"], 4),
        "ece": round(trained.metrics["ece"], 4),
        "rows": int(registered.facts["rows"]),
    }
)

# %% [markdown]
# ## Who, today?
#
# The registered version, asked about customers as they are now, whose outcome nobody knows yet. Of the twenty who spent
# most, those most likely to leave.

# %%
names = wanted()
known = pd.DataFrame({"user_id": sorted(set(rows.user_ids)), "as_of": NOW})
today = training_frame(log, known, names)
today = today[today["orders_365d"] > 0].reset_index(drop=True)
inputs = inputs_of({name: today[name].to_numpy() for name in names}, today["as_of"].to_numpy())
now = pd.DataFrame(
    {
        "customer": today["user_id"],
        "churn_probability": registered.predict(inputs).astype(float),
        "orders_365d": inputs["orders_365d"],
        "spent_365d": inputs["spend_365d"] / 100,
        "days_since_order": inputs["since_order"] / DAY,
    }
)
best = now.sort_values(["spent_365d", "customer"], ascending=[False, True]).head(20)
best.sort_values("churn_probability", ascending=False).head(10).round(2)

# %% [markdown]
# ## Why?
#
# Of the twenty who spent most, the one most likely to leave. Each feature adds to the log-odds or takes from them,
# compared with the average customer; the effects of all features and the average add up to the probability.


# %%
def said(feature: str, value: float) -> str:
    """A feature and its value, as one reads it."""
    if pd.isna(value):
        return f"{feature} is not known"
    return (
        f"{feature} = {value / DAY:.0f} days" if "since" in feature or "gap" in feature else f"{feature} = {value:.4g}"
    )


worst = best.sort_values("churn_probability", ascending=False).index[:1]
one = {name: column[worst] for name, column in inputs.items()}
effects = pd.DataFrame(registered.reasons(one, 10)[0])
effects["reason"] = [said(*row) for row in zip(effects["feature"], effects["value"], strict=True)]
effects["towards"] = np.where(effects["effect"] > 0, "leaving", "staying")
alt.Chart(
    effects, title=f"{now['customer'][worst[0]]}: {now['churn_probability'][worst[0]]:.0%} to leave"
).mark_bar().encode(
    x=alt.X("effect:Q", title="log-odds"),
    y=alt.Y("reason:N", sort=None, title=None).axis(labelLimit=320),
    color=alt.Color("towards:N", title=None),
).properties(width=330)

# %%
client.close()
running.close()
