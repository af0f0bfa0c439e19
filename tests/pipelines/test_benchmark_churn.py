"""`kindred benchmark churn` and `clv` on small files: what is printed, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.errors import BadInput
from pipelines.benchmark_churn import MODELS, Options, benchmark_table
from pipelines.benchmark_clv import benchmark_clv_file
from pipelines.cli.benchmarks import app
from pipelines.imports.columns import Mapping, mapping_from
from pipelines.labelled_table import read_labelled
from training.classification import METRICS

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def table(folder: Path, rows: int = 150) -> Path:
    """A number that tells, one with gaps, a text, an id, a constant, a yes and no."""
    rng = np.random.default_rng(0)
    lines = ["customerID,RowNumber,tenure,charges,plan,same,Churn"]
    for row in range(rows):
        tenure = rng.integers(0, 60)
        gone = "Yes" if rng.random() < (0.8 if tenure < 20 else 0.2) else "No"
        charges = "" if row % 9 == 0 else f"{rng.random():.3f}"
        lines.append(f"x-{row:04d},{row + 1},{tenure},{charges},{'ab'[row % 2]},1,{gone}")
    path = folder / "table.csv"
    path.write_text("\n".join(lines))
    return path


def test_ids_and_constants_are_left_out_and_numbers_told_from_texts(tmp_path: Path) -> None:
    read = read_labelled(table(tmp_path), "Churn")
    assert read.dropped == {"customerID": "id", "RowNumber": "id", "same": "constant"}
    assert {name: column.dtype.kind for name, column in read.inputs.items()} == {
        "tenure": "f",
        "charges": "f",
        "plan": "O",
    }
    assert np.isnan(read.inputs["charges"]).sum() == 17
    assert set(read.labels) == {0, 1}


def test_every_model_is_measured_with_its_spread(tmp_path: Path) -> None:
    found = benchmark_table(read_labelled(table(tmp_path), "Churn"), Options(folds=2, seeds=(0, 1)))
    assert list(found) == [*MODELS, "telltales"]
    for name in MODELS:
        wanted = {f"{metric}{end}" for metric in METRICS for end in ("", "_seeds", "_folds")}
        assert found[name].keys() == wanted | {"ece_pooled", "seconds"}
    assert found["churn"]["auc"] > 0.7
    assert found["telltales"] == []


def test_the_command_prints_json_and_a_table(tmp_path: Path) -> None:
    options = ["churn", "--table", str(table(tmp_path)), "--label", "Churn", "--folds", "2", "--seeds", "1"]
    done = CliRunner().invoke(app, [*options, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["dropped"]["same"] == "constant"
    shown = CliRunner().invoke(app, options).stdout
    assert "left out: customerID (id)" in shown
    assert "logistic" in shown


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        ("a,Churn\n1,Yes\n2,Yes\n", "Churn", "all 2 rows of 'Churn' say the same"),
        ("a,Churn\n1,Yes\n2,maybe\n", "Churn", "row 2 of 'Churn' holds 'maybe'"),
        ("a,Churn\n1,Yes\n2,\n", "Churn", "row 2"),
        ("a,Churn\n1,Yes\n2,No\n", "Left", "no column 'Left'"),
        ("a,Churn\n1,Yes\n1,No\n", "Churn", "no column is left"),
        ("a,Churn\n", "Churn", "no rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, text: str, label: str, message: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_labelled(path, label)


def purchases(folder: Path, lines: list[str], header: str = "customer_id,date,amount") -> Path:
    path = folder / "purchases.csv"
    path.write_text("\n".join([header, *lines]))
    return path


LINES = [
    f"c{n},2024-{month:02d}-{1 + n:02d},{10 + n}" for n in range(9) for month in range(1, 10) if month % (n + 1) == 0
]


def test_what_came_after_the_calibration_is_counted_by_hand(tmp_path: Path) -> None:
    path = purchases(
        tmp_path, ["a,2024-01-01,10", "a,2024-01-08,10", "b,2024-01-01,5", "b,2024-01-15,8", "a,2024-01-29,7"]
    )
    found = benchmark_clv_file(path, Mapping(), 1_705_881_600_000)  # 2024-01-22
    assert (found["customers"], found["weeks"]) == (2, 1)
    naive = found["holdout"]["same_rate"]
    # each bought once more in 3 weeks, so a third is foretold for the week that follows; a bought once, b didn't
    assert naive["purchases_mae"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert naive["value_foretold"] == pytest.approx((10 + 6.5) / 3)
    assert found["by_repeats"][0]["actual"] == 0.5


def test_clv_takes_other_columns_by_map_and_no_amounts(tmp_path: Path) -> None:
    path = purchases(tmp_path, LINES, "who,when,worth")
    found = benchmark_clv_file(path, mapping_from("user_id=who,timestamp=when,amount=worth"), None)
    assert "spend" in found
    path = purchases(tmp_path, [line.rpartition(",")[0] for line in LINES], "user_id,timestamp")
    assert "spend" not in benchmark_clv_file(path, Mapping(), None)


@pytest.mark.parametrize(
    ("lines", "end", "message"),
    [
        (["a,2024-01-01,1", "b,2024-03-01,1"], None, "at least 2 customers"),
        (["a,2024-01-01,1", "b,2024-01-02,1", "c,2024-03-01,1"], None, "nobody bought twice"),
        (LINES, 0, "must lie between"),
        ([*LINES, "a,2024-01-01,"], None, "NaN"),
        ([*LINES, "a,soon,1"], None, "row 25: timestamp 'soon'"),
        ([*LINES, ",2024-01-01,1"], None, "names no customer"),
        ([], None, "no purchases"),
    ],
)
def test_purchases_that_cannot_be_used_are_refused(
    tmp_path: Path, lines: list[str], end: int | None, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        benchmark_clv_file(purchases(tmp_path, lines), Mapping(), end)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="Telco is not beside this checkout")
def test_telco_reaches_its_goal_without_a_leak() -> None:
    read = read_labelled(DATA / "telco_churn.csv", "Churn")
    found = benchmark_table(read, Options(seeds=(0,)))
    assert 0.848 < found["churn"]["auc"] < 0.87
    assert found["churn"]["ece_pooled"] < 0.02
    assert found["churn"]["log_loss"] < min(found["logistic"]["log_loss"], found["lightgbm"]["log_loss"])


@pytest.mark.skipif(not DATA.exists(), reason="CDNOW is not beside this checkout")
def test_clv_on_cdnow_beats_going_on_as_before() -> None:
    options = ["clv", "--interactions", str(DATA / "cdnow_sample.csv.gz"), "--calibration-end", "1997-09-30", "--json"]
    found = json.loads(CliRunner().invoke(app, options).stdout)
    assert found["fit"]["log_likelihood"] == pytest.approx(-9582.4, abs=0.05)
    ours, naive = found["holdout"]["bg_nbd"], found["holdout"]["same_rate"]
    assert ours["purchases_mae"] < 0.8 * naive["purchases_mae"]
    assert abs(ours["purchases_ratio"] - 1) < 0.15 < abs(naive["purchases_ratio"] - 1)
