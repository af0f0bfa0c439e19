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
# # Who gets bad slates, and why?
#
# A mean over customers hides whom a model fails. Take the mean apart: by how much was known of the customer and of the
# item, by how long they had been away, customer by customer against what is popular, down to the worst ones with all
# they did. Everything runs on this machine; a small simulated shop stands in for yours.

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
from models import create
from pipelines.embedded import parts
from pipelines.imports.columns import mapping_from
from pipelines.imports.job import import_events
from pipelines.simulate import Shop, catalogue, events
from training import datasets
from training.evaluation import described, judge, question, slates
from training.groups import HOT, WARM
from training.splits import time_split
from training.statistics import interval, paired

alt.renderers.enable("svg")  # plots are part of the notebook and load nothing from elsewhere

NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
HOLDOUT = 14 * DAY
K = 10
MODELS = ("als", "trending")

# %% [markdown]
# ## A shop of 90 days
#
# `parts` starts what no server is configured for: here a Redis, on loopback. The titles are only for reading.

# %%
running = contextlib.ExitStack()
settings = running.enter_context(parts(from_environment(), "redis"))
client = connect(settings.redis)

shop = Shop(events=25_000, customers=400, items=200, days=90, until=NOW)
(settings.data / "shop.jsonl").write_bytes(b"\n".join(events(shop)))
report = import_events(settings, client, settings.data / "shop.jsonl", mapping_from(""), NOW, lambda done, total: None)
titles = {message["item_id"]: message["title"] for message in catalogue(shop)}
pd.Series({"events": report.accepted, "refused": sum(report.refused.values())})

# %% [markdown]
# ## Fitted before, measured after
#
# Models know what happened up to two weeks ago. Each customer's slate of ten, over the whole catalogue, is held against
# what they then looked at, put into the cart or ordered; `judge` keeps the value of every customer.

# %%
rows = datasets.checked(interactions(EventLog(settings.data)))
parted = time_split(rows, HOLDOUT)
cut = int(rows["timestamp"].max()) + 1 - HOLDOUT
learned = datasets.interactions(parted.fit)
asked = question(parted, learned.items, mask=False)
models = {name: create(name).fit(learned) for name in MODELS}
answers = {name: slates(model, [asked], K)[0] for name, model in models.items()}
judged = {name: judge(answers[name], asked, (K,)) for name in MODELS}
beyond = {name: described(answers[name], asked, learned, (K,)) for name in MODELS}
pd.DataFrame({name: judged[name].metrics | beyond[name] for name in MODELS}).loc[
    ["ndcg@10", "recall@10", "hr@10", "coverage@10", "diversity@10", "novelty@10", "popularity@10", "gini@10", "users"]
].round(3)

# %% [markdown]
# ## By how much was known
#
# Groups as everywhere in Kindred: cold is fewer than 5 interactions, warm 5 to 19, hot 20 or more. Of a customer those
# before the cut, with 95% intervals over customers; of an item those of everybody: of the targets of each kind, the
# share that was on the slate.

# %%
users = judged["als"].users
measured = asked.asked.take(asked.users.rows(users.ids))
newest = np.array([measured[row].times.max() if measured.counts[row] else 0 for row in range(len(measured))])
people = pd.DataFrame(
    {
        "customer": users.ids,
        "known": measured.counts,
        "history": pd.cut(measured.counts, [-1, WARM - 1, HOT - 1, 10**9], labels=["cold", "warm", "hot"]).astype(str),
        "away": pd.cut(
            (cut - newest) / DAY, [-1, 1, 3, 7, 14, 10**6], labels=["1", "2-3", "4-7", "8-14", "more"]
        ).astype(str),
        **{name: judged[name].values[f"ndcg@{K}"] for name in MODELS},
    }
)


def means(column: str) -> pd.DataFrame:
    """NDCG of each model in each group, its interval, and how many customers that are."""
    return pd.DataFrame(
        [
            {column: group, "model": name, "customers": len(part), **interval(part[name].to_numpy(), seed=0)._asdict()}
            for group, part in people.groupby(column)
            for name in MODELS
        ]
    )


by_history = means("history")
by_history.round(3)


# %%
def bars(found: pd.DataFrame, column: str, order: list[str], title: str) -> alt.LayerChart:
    """Means with their intervals, side by side."""
    base = alt.Chart(found, title=title).encode(
        x=alt.X(f"{column}:N", sort=order, title=None).axis(labelAngle=0), xOffset="model:N"
    )
    drawn = base.mark_bar().encode(y=alt.Y("mean:Q", title=f"NDCG@{K}"), color="model:N")
    return (drawn + base.mark_rule().encode(y="low:Q", y2="high:Q")).properties(width=260, height=220)


items = pd.DataFrame(
    [
        {"item": group, "model": name, "recall": beyond[name].get(f"recall@{K}_items_{group}", np.nan)}
        for group in ("cold", "warm", "hot")
        for name in MODELS
    ]
).dropna()
bars(by_history, "history", ["cold", "warm", "hot"], "By history of the customer") | alt.Chart(
    items, title="By what was known of the item"
).mark_bar().encode(
    x=alt.X("item:N", sort=["cold", "warm", "hot"], title=None).axis(labelAngle=0),
    xOffset="model:N",
    y=alt.Y("recall:Q", title=f"recall@{K}"),
    color="model:N",
).properties(width=260, height=220)

# %% [markdown]
# ## By how long they had been away
#
# Days between a customer's last interaction and the cut.

# %%
bars(means("away"), "away", ["1", "2-3", "4-7", "8-14", "more"], "By days since the last interaction").properties(
    width=420
)

# %% [markdown]
# ## Customer by customer against what is popular
#
# The same customers got both slates, so it is their differences that count. An interval that holds 0 decides nothing.

# %%
people["gain"] = people["als"] - people["trending"]
parts_of = dict(list(people.groupby("history")))
groups = {"everybody": people} | {
    f"{name} customers": parts_of[name] for name in ("cold", "warm", "hot") if name in parts_of
}
gains = pd.DataFrame(
    [
        {
            "group": name,
            "customers": len(part),
            "better": (part["gain"] > 0).mean(),
            "worse": (part["gain"] < 0).mean(),
            **paired(part["als"].to_numpy(), part["trending"].to_numpy(), seed=0)._asdict(),
        }
        for name, part in groups.items()
    ]
)
gains.round(3)

# %%
spread = (
    alt.Chart(people, title=f"NDCG@{K} of als less that of trending")
    .mark_bar()
    .encode(x=alt.X("gain:Q", title=None).bin(step=0.1), y=alt.Y("count()", title="customers"))
)
forest = alt.Chart(gains, title="Mean and 95% interval").encode(y=alt.Y("group:N", sort=None, title=None))
zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(strokeDash=[4, 4]).encode(x="x:Q")
spread.properties(width=280, height=180) | (
    zero
    + forest.mark_rule().encode(x=alt.X("low:Q", title=None), x2="high:Q")
    + forest.mark_circle(size=60, opacity=1).encode(x="mean:Q")
).properties(width=240, height=180)

# %% [markdown]
# ## Why a target was missed
#
# Each target that isn't on the slate of als has one reason, the first that holds: nobody had met the item before the
# cut; fewer than 5 had; the customer had met it themselves, so it should have come back; it came soon after the slate;
# or the model put it far down.

# %%
truth = parted.test[["user_id", "item_id"]].drop_duplicates()
scores = models["als"].scores(asked.asked)
place = (-scores).argsort(axis=1, kind="stable").argsort(axis=1)
met = np.bincount(learned.histories.items, minlength=len(learned.items))


def reason(customer: str, item: str) -> str:
    """Why als didn't show an item, or that it did."""
    user, row = asked.users.row(customer), learned.items.row(item)
    if row < 0:
        return "unknown item"
    if row in answers["als"][user]:
        return "shown"
    if met[row] < WARM:
        return "cold item"
    if row in asked.asked[user].items:
        return "met before"
    return f"rank {K + 1} to 20" if place[user, row] < 20 else "rank over 20"


truth["reason"] = [reason(*pair) for pair in zip(truth["user_id"], truth["item_id"], strict=True)]
why = truth["reason"].value_counts().rename_axis("reason").reset_index(name="targets")
why["share"] = why["targets"] / len(truth)
alt.Chart(why, title="What became of the targets").mark_bar().encode(
    x=alt.X("share:Q", title=None).axis(format="%"),
    y=alt.Y("reason:N", sort="-x", title=None),
    color=alt.condition("datum.reason == 'shown'", alt.value("#54a24b"), alt.value("#e45756")),
).properties(width=420)

# %% [markdown]
# ## The worst customers
#
# Nothing on their slate was wanted though much was known of them: what they last met, what they were shown, and what
# they then took.


# %%
def named(item_ids: "list[str]") -> str:
    """Titles of the first three."""
    return "; ".join(titles.get(item, item) for item in item_ids[:3])


def story(customer: str) -> dict[str, object]:
    """What was known, shown and taken."""
    user = asked.users.row(customer)
    seen = dict.fromkeys(asked.asked[user].items[::-1].tolist())
    taken = truth[truth["user_id"] == customer]
    return {
        "customer": customer,
        "interactions": int(asked.asked.counts[user]),
        "last met": named([learned.items.ids[row] for row in seen]),
        "shown": named(learned.items.names(answers["als"][user])),
        "then took": named(taken["item_id"].tolist()),
        "targets": len(taken),
        "why": taken["reason"].mode()[0],
    }


pd.options.display.max_colwidth = None
worst = people[people["als"] == 0].sort_values(["known", "customer"], ascending=[False, True]).head(5)
pd.DataFrame([story(customer) for customer in worst["customer"]]).set_index("customer")

# %%
client.close()
running.close()
