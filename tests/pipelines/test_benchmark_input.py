"""Files of a benchmark as frames."""

from pathlib import Path

import pandas as pd
import pytest

from features.errors import BadInput
from pipelines.benchmark_input import read
from pipelines.imports.columns import mapping_from


def written(folder: Path, name: str, *lines: str) -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_prefixes_are_read_beside_sessions_by_one_map(tmp_path: Path) -> None:
    sessions = written(tmp_path, "train.csv", "session_id,item_id,position", "1,7,0", "1,8,1")
    asked = written(tmp_path, "test.csv", "so far,next", "7 8,9", "8,7")
    mapping = mapping_from("user_id=session_id,prefix=so far,next_item_id=next")
    files = read(sessions, asked, mapping, "prefixes")
    assert files.train[["user_id", "item_id"]].to_numpy().tolist() == [["1", "7"], ["1", "8"]]
    assert files.test is not None
    assert files.test.to_numpy().tolist() == [["7 8", "9"], ["8", "7"]]
    assert files.categories == {}


def test_prefixes_may_be_lists(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    pd.DataFrame({"prefix": [[7, 8], [8]], "next_item_id": [9, 7]}).to_parquet(path)
    sessions = written(tmp_path, "train.csv", "user_id,item_id", "1,7")
    files = read(sessions, path, mapping_from(), "prefixes")
    assert files.test is not None
    assert files.test.to_numpy().tolist() == [["7 8", "9"], ["8", "7"]]


def test_a_prefix_file_without_its_columns_says_which(tmp_path: Path) -> None:
    sessions = written(tmp_path, "train.csv", "user_id,item_id", "1,7")
    with pytest.raises(BadInput, match=r"next_item_id.*--map"):
        read(sessions, written(tmp_path, "test.csv", "prefix,target", "7,8"), mapping_from(), "prefixes")


def test_a_category_is_taken_from_its_column_or_found_in_the_title(tmp_path: Path) -> None:
    lines = ("user_id,item_id,category,title", "1,7,lamps,Red lamp", "1,8,,Blue mug", "1,7,lights,Red lamp", "1,9,,")
    path = written(tmp_path, "train.csv", *lines)
    assert read(path, None, mapping_from(), "time-split").categories == {"7": "lights"}
    keywords = written(tmp_path, "words.csv", "keyword,category", "mug,kitchen")
    mapping = mapping_from(categories=keywords)
    assert read(path, None, mapping, "time-split").categories == {"7": "lights", "8": "kitchen"}


def test_a_test_file_need_not_have_the_times_that_are_mapped(tmp_path: Path) -> None:
    train = written(tmp_path, "train.csv", "who,what,when", "1,7,1700000000")
    test = written(tmp_path, "test.csv", "who,what", "1,8")
    files = read(train, test, mapping_from("user_id=who,item_id=what,timestamp=when"), "split")
    assert files.test is not None
    assert files.test[["user_id", "item_id"]].to_numpy().tolist() == [["1", "8"]]
