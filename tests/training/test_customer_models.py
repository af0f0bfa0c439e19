"""Models of customers on their way into the registry: what is saved answers in a notebook as it did in training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.offline import EventLog, interactions
from models import artifacts, facts_of
from tests.tastes import DAY_MS, two_tastes
from tests.training.test_churn import log_of, shop
from training import notebook_customers
from training.customer_models import CUSTOMER_MODELS, Given, clusters


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """A shop where half of the customers stop buying; what is bought says nothing, so tastes come from elsewhere."""
    log = log_of(tmp_path_factory.mktemp("log"), shop())
    return Given(log, interactions(log), int(interactions(log)["timestamp"].max()) + 1, 10 * DAY_MS)


def given_for(name: str, shop: Given, folder: Path) -> Given:
    if name != "lookalike":
        return shop
    frame = two_tastes()
    return Given(EventLog(folder), frame, int(frame["timestamp"].max()) + 1, 10 * DAY_MS)


def test_there_are_models_of_customers() -> None:
    assert set(CUSTOMER_MODELS) == set(notebook_customers.LOADERS) == {"churn", "clusters", "lookalike"}


@pytest.mark.parametrize("name", sorted(CUSTOMER_MODELS))
def test_what_was_saved_answers_the_example_as_it_did(name: str, given: Given, tmp_path: Path) -> None:
    made = CUSTOMER_MODELS[name](given_for(name, given, tmp_path / "log"))
    folder = tmp_path / "made"
    folder.mkdir()
    made.save(folder)
    artifacts.seal(folder)
    again = notebook_customers._load_pyfunc(str(folder)).predict(made.example)
    assert again.to_dict("records") == made.answer.to_dict("records")
    assert made.name == name
    assert all(np.isfinite(value) for value in made.metrics.values())
    assert int(made.tags["kindred.data_since"]) < int(made.tags["kindred.data_until"])
    assert isinstance(facts_of(folder), dict)


def test_the_same_customers_a_night_later_keep_their_clusters(given: Given, tmp_path: Path) -> None:
    clusters(given).save(tmp_path)
    assert clusters(replace(given, previous=tmp_path)).metrics["kept"] == 1
