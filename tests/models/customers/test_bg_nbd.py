"""BG/NBD and the spend model: the published figures, formulas checked in another way, and input that can't be used."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import hyp2f1

from features.errors import BadInput, BrokenArtifact, NotFitted
from models.customers import bg_nbd, gamma_gamma
from models.customers.bg_nbd import BgNbd, Purchases, Shop
from models.customers.gamma_gamma import GammaGamma, Spread
from training.purchases import DAY, customers_at, days_of

CDNOW = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "cdnow_sample.csv.gz"
SHOP = Shop(0.25, 4.4, 0.8, 2.4)
MANY = Purchases(np.array([0.0, 1, 3, 400]), np.array([0.0, 5, 20, 38]), np.array([39.0, 30, 21, 38.5]))


@pytest.mark.skipif(not CDNOW.exists(), reason="CDNOW is not beside this checkout")
def test_cdnow_gives_the_published_likelihood_and_parameters() -> None:
    frame = pd.read_csv(CDNOW, dtype={"customer_id": "str"}, parse_dates=["date"])
    times = frame["date"].astype("datetime64[ms]").astype("int64")
    days = days_of(pd.DataFrame({"user_id": frame["customer_id"], "timestamp": times, "amount": frame["amount_usd"]}))
    known = customers_at(days, int(pd.Timestamp("1997-09-30").value // 1_000_000 // DAY))
    model = BgNbd().fit(known.purchases)
    assert len(known.ids) == 2357
    assert model.log_likelihood(known.purchases) == pytest.approx(-9582.4, abs=0.05)
    assert model.shop == pytest.approx((0.2426, 4.4136, 0.7929, 2.4259), abs=1e-3)
    spend = GammaGamma().fit(known.purchases.repeats, known.mean)
    assert spend.spread == pytest.approx((6.25, 3.74, 15.44), abs=1e-2)


@pytest.mark.parametrize("at", range(4))
def test_the_gradient_is_that_of_the_likelihood(at: int) -> None:
    step = np.zeros(4)
    step[at] = 1e-6
    ends = [bg_nbd.log_likelihood(Shop(*(np.array(SHOP) + sign * step)), MANY).sum() for sign in (1, -1)]
    assert bg_nbd.gradient(SHOP, MANY)[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("at", range(3))
def test_the_gradient_of_the_spend_model_is_that_of_its_likelihood(at: int) -> None:
    spread, step = np.array([6.0, 3.5, 15.0]), np.zeros(3)
    step[at] = 1e-6
    count, mean = np.array([1.0, 2, 9]), np.array([30.0, 8, 55])
    ends = [gamma_gamma.log_likelihood(Spread(*(spread + sign * step)), count, mean).sum() for sign in (1, -1)]
    found = gamma_gamma.gradient(Spread(*spread), count, mean)[at]
    assert found == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_what_is_expected_is_the_formula_of_the_paper() -> None:
    few = Purchases(*(column[:3] for column in MANY))
    (r, alpha, a, b), (x, last, age), t = SHOP, few, 39.0
    shrunk = ((alpha + age) / (alpha + age + t)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + age + t))
    left = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + last)) ** (r + x), 0)
    paper = (a + b + x - 1) / (a - 1) * (1 - shrunk) / (1 + left)
    assert BgNbd(SHOP).expected(few, t) == pytest.approx(paper, rel=1e-9)


def test_four_hundred_purchases_neither_overflow_nor_cancel() -> None:
    assert 100 < BgNbd(SHOP).expected(MANY, 39.0)[3] < 400 / 38.5 * 39


def test_the_expectation_is_continuous_where_its_formula_has_a_hole() -> None:
    near = [BgNbd(SHOP._replace(a=a)).expected(MANY, 39.0) for a in (0.9999, 1.0, 1.0001)]
    assert near[0] == pytest.approx(near[1], rel=1e-3)
    assert near[2] == pytest.approx(near[1], rel=1e-3)


def test_somebody_who_never_came_back_cannot_have_left_and_a_long_silence_says_they_did() -> None:
    quiet = Purchases(np.array([0.0, 5, 5]), np.array([0.0, 30, 8]), np.array([39.0, 31, 39]))
    alive = BgNbd(SHOP).alive(quiet)
    assert alive[0] == 1
    assert alive[1] > 0.8
    assert alive[2] < 0.1


def test_the_chance_of_no_purchase_falls_with_time_from_one() -> None:
    model = BgNbd(SHOP)
    assert model.none_within(MANY, 0.0) == pytest.approx(1)
    assert (model.none_within(MANY, 4.0) > model.none_within(MANY, 8.0)).all()
    # with a rate of exactly lambda, nobody leaving: exp(-lambda t)
    steady = Shop(2e6, 1e6, 1e-6, 1e6)
    assert BgNbd(steady).none_within(Purchases(*(column[:1] for column in MANY)), 0.5)[0] == pytest.approx(
        np.exp(-1), 1e-4
    )


def test_simulated_customers_give_their_parameters_back() -> None:
    rng = np.random.default_rng(0)
    n, true = 4_000, Shop(1.2, 6.0, 1.0, 4.0)
    rate, leaves = rng.gamma(true.r, 1 / true.alpha, n), rng.beta(true.a, true.b, n)
    repeats, last, age = np.zeros(n), np.zeros(n), rng.uniform(30, 60, n)
    for row in range(n):
        time = rng.exponential(1 / rate[row])
        while time < age[row]:
            repeats[row], last[row] = repeats[row] + 1, time
            if rng.random() < leaves[row]:
                break
            time += rng.exponential(1 / rate[row])
    found = BgNbd().fit(Purchases(repeats, last, age)).shop
    assert found.r / found.alpha == pytest.approx(0.2, rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize(
    ("purchases", "message"),
    [
        (Purchases(np.array([1.0]), np.array([2.0]), np.array([3.0])), "at least 2 customers"),
        (Purchases(np.zeros(3), np.zeros(3), np.ones(3)), "nobody bought twice"),
        (Purchases(np.array([1.0, np.nan]), np.ones(2), np.ones(2)), "NaN"),
        (Purchases(np.array([1.0, 1]), np.array([1.0, 5]), np.array([2.0, 2])), "recency is above age"),
        (Purchases(np.array([1.5, 1]), np.ones(2), np.ones(2)), "fraction"),
        (Purchases(np.array([2.0, 1]), np.array([0.0, 1]), np.ones(2)), "disagree"),
        (Purchases(np.zeros(0), np.zeros(0), np.zeros(0)), "equal length"),
    ],
)
def test_purchases_that_cannot_be_are_refused_with_the_reason(purchases: Purchases, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        BgNbd().fit(purchases)


def test_it_is_saved_and_loaded_whole_and_says_when_it_is_not_fitted(tmp_path: Path) -> None:
    with pytest.raises(NotFitted):
        BgNbd().alive(MANY)
    BgNbd(SHOP).save(tmp_path)
    assert BgNbd.load(tmp_path).shop == SHOP
    (tmp_path / "model.json").write_text('{"name": "bg_nbd", "format": 1, "params": {"r": -1}}')
    with pytest.raises(BrokenArtifact):
        BgNbd.load(tmp_path)


def test_a_customer_with_few_purchases_is_worth_nearly_what_the_shop_is() -> None:
    spend = GammaGamma(Spread(6.25, 3.74, 15.44))
    mean = spend.expected(np.array([0.0, 1, 200]), np.array([0.0, 100, 100]))
    assert mean[0] == pytest.approx(6.25 * 15.44 / 2.74)
    assert mean[0] < mean[1] < mean[2]
    assert mean[2] == pytest.approx(100, rel=0.01)


def test_purchases_of_one_day_count_once_and_their_amounts_add_up() -> None:
    frame = pd.DataFrame(
        [("a", 0, 5.0), ("a", DAY - 1, 7.0), ("a", 7 * DAY, 4.0), ("b", 14 * DAY, 9.0), ("c", 30 * DAY, 1.0)],
        columns=["user_id", "timestamp", "amount"],
    )
    known = customers_at(days_of(frame), 21)
    assert list(known.ids) == ["a", "b"]  # c comes later
    assert [column.tolist() for column in known.purchases] == [[1, 0], [1, 0], [3, 1]]  # weeks
    assert (known.mean.tolist(), known.value.tolist()) == ([4, 0], [16, 9])
