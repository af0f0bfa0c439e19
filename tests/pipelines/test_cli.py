"""The command line as a person meets it: what it prints, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KINDRED = str(Path(sys.executable).with_name("kindred"))


def kindred(folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KINDRED_")}
    environment |= {"KINDRED_DATA": str(folder / "data"), **settings}
    return subprocess.run(
        [KINDRED, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def refused(done: "subprocess.CompletedProcess[str]", status: int, *parts: str) -> None:
    """One clear line on stderr that says all of this, and no traceback."""
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("kindred: ")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(part in done.stderr for part in parts), done.stderr


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """Two customers' orders, with one broken line among them."""
    path = tmp_path / "orders.csv"
    path.write_text(
        "customer,order,sku,title,pieces,price,time\n"
        "u1,o1,i1,Lantern,2,3.50,2026-03-01 10:00:00\n"
        "u1,o1,i2,Candle,1,1.25,2026-03-01 10:00:00\n"
        "u2,o2,i1,Lantern,1,3.50,2026-03-02 11:00:00\n"
        "u2,o3,i1,Lantern,one,3.50,2026-03-02 12:00:00\n"
        "u2,o4,i1\n"
    )
    return path


MAP = "user_id=customer,order_id=order,product_id=sku,name=title,quantity=pieces,price=price,timestamp=time"


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "recomend"), 2, "recomend")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "import", "events", "nowhere.csv"), 2, "nowhere.csv")


def test_a_demo_of_a_missing_file_starts_nothing(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "demo", "--data", "nowhere.csv"), 2, "nowhere.csv")
    assert not (tmp_path / "data").exists()


def test_sending_live_without_a_kafka_that_runs_is_refused(orders: Path) -> None:
    refused(kindred(orders.parent, "import", "events", str(orders), "--map", MAP, "--live"), 2, "KINDRED_KAFKA")


def test_sending_live_to_a_kafka_that_is_down_fails(orders: Path) -> None:
    words = ["import", "events", str(orders), "--map", MAP, "--live"]
    refused(kindred(orders.parent, *words, KINDRED_KAFKA="127.0.0.1:9"), 1, "127.0.0.1:9")


def test_a_data_folder_that_is_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    refused(kindred(tmp_path, "keys", "issue", "write"), 1, "data")


def test_a_model_that_there_is_not_is_named_before_anything_is_served(tmp_path: Path) -> None:
    found = json.loads(kindred(tmp_path, "doctor", "--json", KINDRED_MODELS="alz").stdout)
    assert [check["part"] for check in found if not check["ok"]] == ["mlflow"]
    assert "alz" in str(found)


def test_an_unknown_column_in_map_is_named_with_those_there_are(orders: Path) -> None:
    done = kindred(orders.parent, "import", "events", str(orders), "--map", "user_id=client,timestamp=time")
    refused(done, 2, "client", "customer", "sku")


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "doctor", KINDRED_REDDIS="x"), 2, "KINDRED_REDDIS", "KINDRED_REDIS")


def test_a_redis_that_is_down_is_named_without_its_password(tmp_path: Path) -> None:
    done = kindred(tmp_path, "backfill", KINDRED_REDIS="redis://me:hush@127.0.0.1:1")
    refused(done, 1, "127.0.0.1:1")
    assert "hush" not in done.stderr


def test_a_registry_that_is_down_is_named(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "models", KINDRED_MLFLOW="http://127.0.0.1:1"), 1, "127.0.0.1:1")


def test_training_without_events_says_what_to_do(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "train", "als", KINDRED_MLFLOW="http://127.0.0.1:1"), 2, "kindred import events")


def test_doctor_says_which_part_is_wrong(tmp_path: Path) -> None:
    done = kindred(tmp_path, "doctor", "--json", KINDRED_REDIS="redis://127.0.0.1:1")
    found = {check["part"]: check["ok"] for check in json.loads(done.stdout)}
    assert found == {"data": True, "redis": False, "kafka": True, "mlflow": True}
    assert done.returncode == 1


def test_a_file_is_imported_with_its_refusals_counted_and_a_second_time_changes_nothing(orders: Path) -> None:
    first = kindred(orders.parent, "import", "events", str(orders), "--map", MAP, "--currency", "GBP", "--json")
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    found = json.loads(first.stdout)
    assert found["events"] == 2
    assert sum(found["refused"].values()) == 2
    (rejects,) = (orders.parent / "data" / "rejects").glob("orders.csv-*.jsonl")
    assert {json.loads(line)["row"] for line in rejects.read_text().splitlines()} == {5, 6}
    again = json.loads(kindred(orders.parent, "import", "events", str(orders), "--map", MAP, "--json").stdout)
    assert (again["events"], again["known"]) == (0, 2)


def test_a_key_is_printed_once_listed_without_its_token_and_revoked(tmp_path: Path) -> None:
    token = kindred(tmp_path, "keys", "issue", "secret", "--scope", "recommend", "--label", "shop").stdout.strip()
    assert token.startswith("sk_")
    listed = kindred(tmp_path, "keys", "list", "--json").stdout
    assert token not in listed
    (key,) = json.loads(listed)
    assert key["label"] == "shop"
    assert token not in (tmp_path / "data" / "keys.json").read_text()
    assert kindred(tmp_path, "keys", "revoke", key["id"]).returncode == 0
    assert json.loads(kindred(tmp_path, "keys", "list", "--json").stdout) == []
    refused(kindred(tmp_path, "keys", "revoke", key["id"]), 2, key["id"])


def test_a_key_with_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "keys", "issue", "secret", "--scope", "everything"), 2, "everything", "recommend")


def test_a_port_out_of_range_is_wrong_usage(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "demo", "--port", "70000"), 2, "--port")


def test_a_protocol_that_is_not_there_is_named(orders: Path) -> None:
    done = kindred(orders.parent, "benchmark", "--interactions", str(orders), "--protocol", "guess", "--map", MAP)
    refused(done, 2, "guess", "time-split")


def test_the_features_are_listed(tmp_path: Path) -> None:
    found = json.loads(kindred(tmp_path, "features", "--json").stdout)
    assert {"recent_items", "category_affinity", "spend", "last_seen"} <= {feature["name"] for feature in found}


def test_a_time_of_the_day_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "reconcile", "--at", "25:00"), 2, "03:30")


def test_a_command_that_is_interrupted_says_so_and_fails(tmp_path: Path) -> None:
    words = [KINDRED, "simulate", "--events", "5000000", "--output", "shop"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "shop" / "events.jsonl.gz").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "kindred: stopped\n")


@pytest.mark.parametrize(
    "words",
    [("canary", "als"), ("canary", "als", "2"), ("canary", "als", "2", "10", "--end"), ("shadow", "als")],
)
def test_a_trial_without_what_it_needs_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    refused(kindred(tmp_path, *words), 2, "--end")


def test_a_canary_of_most_customers_is_refused_before_anything_starts(tmp_path: Path) -> None:
    refused(kindred(tmp_path, "canary", "als", "2", "90%"), 2, "50 percent")
