"""Ids and their rows."""

import numpy as np
import pandas as pd

from models.interactions import IdMap


def test_rows_follow_the_order_of_ids_whatever_order_they_came_in() -> None:
    ids = IdMap.of(["b", "a", "c", "a"])
    assert ids.ids == ("a", "b", "c")
    assert len(ids) == 3


def test_an_unknown_id_has_row_minus_one() -> None:
    ids = IdMap.of(["b", "a"])
    assert (ids.row("b"), ids.row("z")) == (1, -1)
    assert ids.rows(["z", "b", "a"]).tolist() == [-1, 1, 0]
    assert ids.rows(pd.Series(["a", "z"])).tolist() == [0, -1]
    assert ids.rows([]).tolist() == []
    assert ids.rows(["a"]).dtype == np.int32


def test_an_empty_map_knows_nobody() -> None:
    assert IdMap(()).rows(["a"]).tolist() == [-1]


def test_padding_has_no_name() -> None:
    assert IdMap.of(["b", "a"]).names(np.array([1, -1, 0], dtype=np.int32)) == ["b", "a"]


def test_numbers_that_look_like_words_keep_the_order_of_words() -> None:
    assert IdMap.of(["10", "9"]).ids == ("10", "9")
