"""The compiled fold and packing are those of `features.folds` and `features.packing`, byte for byte."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import code_cache, compiled, folds, packing
from features.cells import Cells
from features.definitions import FEATURES
from features.errors import BrokenState
from features.states import States, no_states
from features.table import Table
from tests.features.histories import DAY, HOUR, MINUTE, Happening, T, columns, line, logs
from tests.features.test_parity import tables

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def assert_same(left: States, right: States) -> None:
    for one, other in zip(left, right, strict=True):
        for name in one._fields:
            a, b = getattr(one, name), getattr(other, name)
            assert a.dtype == b.dtype, name
            assert np.array_equal(a, b), name


def assert_folds_alike(table: Table, batches: Sequence[Sequence[Happening]]) -> States:
    """Fold batch by batch both ways, over the bytes between two; the states of all customers after them."""
    ids = sorted({event.customer for batch in batches for event in batch})
    plain = fast = no_states(len(ids))
    for batch in batches:
        events, owner = columns(batch), np.array([ids.index(event.customer) for event in batch], np.int64)
        one, other = folds.fold(table, plain, events, owner), compiled.fold(table, fast, events, owner)
        assert one.counted.tolist() == other.counted.tolist()
        assert_same(one.states, other.states)
        packed = packing.pack(one.states)
        assert compiled.pack(other.states) == packed
        plain, fast = packing.unpack(packed), compiled.unpack(packed)
        assert_same(plain, fast)
    return fast


def cut(log: Sequence[Happening], cuts: list[int]) -> list[Sequence[Happening]]:
    edges = sorted({0, len(log), *(at % (len(log) + 1) for at in cuts)})
    return [log[begin:end] for begin, end in pairwise(edges)]


@QUICK
@given(logs(), st.lists(st.integers(0, 1_000), max_size=4))
def test_any_log_in_any_batches_folds_to_the_same_bytes(log: list[Happening], cuts: list[int]) -> None:
    assert_folds_alike(FEATURES, cut(log, cuts))


@QUICK
@given(tables(), logs(size=40), st.lists(st.integers(0, 1_000), max_size=3))
def test_any_table_of_features_does(table: Table, log: list[Happening], cuts: list[int]) -> None:
    assert_folds_alike(table, cut(log, cuts))


def test_messages_that_come_again_and_more_than_are_remembered_are_counted_alike() -> None:
    log = [
        Happening("Product Viewed", T + n * MINUTE, str(n % 1_500), received=T + n * MINUTE, lines=(line(f"i{n}"),))
        for n in range(4_000)
    ]
    assert_folds_alike(FEATURES, [log[:100], log[100:3_900], log[3_900:], log[:50]])


def test_customers_of_more_items_than_are_kept_keep_the_same_ones() -> None:
    log = [
        Happening(
            "Product Viewed" if n % 3 else "Order Completed",
            T + n * HOUR,
            str(n),
            texts={"currency": "GBP"},
            lines=tuple(line(f"item {n * 7 + k}", price=n * k, category=f"c{n}", brand=f"b{n}") for k in range(7)),
        )
        for n in range(600)
    ]
    assert_folds_alike(FEATURES, [log[:300], log[300:310], log[310:]])


def test_what_happened_long_ago_ages_alike() -> None:
    log = [
        Happening("Product Viewed", T + days * DAY, str(days), lines=(line(f"i{days % 5}", price=99, category="c"),))
        for days in (0, 1, 2, 8, 31, 32, 95, 200, 400, 399, 30, 1_000)
    ]
    assert_folds_alike(FEATURES, [[event] for event in log])
    assert_folds_alike(FEATURES, [log])


def test_long_names_and_many_of_them_are_packed_alike() -> None:
    texts = ["c", "c" * 254, "c" * 255, "é" * 70_000, *(f"category {n}" for n in range(300))]
    log = [Happening("Order Completed", T, "m", lines=tuple(line("i", category=text) for text in texts))]
    assert_folds_alike(FEATURES, [log])


@QUICK
@given(
    st.dictionaries(st.integers(1, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), max_size=600),
    st.integers(0, 2**41),
)
def test_any_cells_are_packed_alike(cells: dict[int, int], newest: int) -> None:
    key = np.array([0, *sorted(cells)], np.uint64)
    value = np.array([newest, *(cells[each] for each in sorted(cells))], np.int64)
    states = no_states(1)._replace(cells=Cells(np.array([0, len(key)]), key, value))
    assert compiled.pack(states) == packing.pack(states)
    assert_same(compiled.unpack(compiled.pack(states)), states)


def test_nobody_has_an_empty_state() -> None:
    assert_same(compiled.unpack([None, None]), no_states(2))
    assert_same(compiled.unpack([]), no_states(0))
    assert compiled.pack(no_states(2)) == packing.pack(no_states(2))


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:5], lambda b: b"\x09" + b[1:]])
def test_wrong_bytes_are_refused(change: Callable[[bytes], bytes]) -> None:
    states = assert_folds_alike(FEATURES, [[Happening("Product Viewed", T, "m", lines=(line("i"),))]])
    (packed,) = compiled.pack(states)
    with pytest.raises(BrokenState):
        compiled.unpack([packed, change(packed)])


@QUICK
@given(logs(size=6), st.data())
def test_damaged_bytes_are_refused_or_read_as_the_plain_reader_reads_them(
    log: list[Happening], data: st.DataObject
) -> None:
    for packed in compiled.pack(assert_folds_alike(FEATURES, [log])):
        damaged = bytearray(packed)
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        try:
            found = compiled.unpack([bytes(damaged)])
        except BrokenState:
            continue
        assert_same(found, packing.unpack([bytes(damaged)]))


def test_a_negative_amount_and_the_largest_ones_are_kept_alike() -> None:
    amounts = (0, 1, 255, 256, 2**24, 2**45, 2**56)
    log = [
        Happening("Order Completed", T + n, str(n), numbers={"total": amount, "discount": -amount}, lines=(line("i"),))
        for n, amount in enumerate(amounts)
    ]
    assert_folds_alike(FEATURES, [log])


def test_kernels_are_kept_elsewhere_where_their_source_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(code_cache.VARIABLE, raising=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert code_cache.folder() is None
    code_cache.keep_in(tmp_path)
    found = code_cache.folder()
    assert found is not None
    assert found.parent == tmp_path / "compiled"
    monkeypatch.delenv(code_cache.VARIABLE)


def test_kernels_of_an_older_source_are_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(code_cache.VARIABLE, str(tmp_path))
    (tmp_path / "kernels-0123").mkdir()
    (tmp_path / "notes").mkdir()
    assert code_cache.folder() not in {None, tmp_path / "kernels-0123"}
    assert [each.name for each in tmp_path.iterdir()] == ["notes"]


def test_kernels_are_part_of_all_that_their_modules_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def digest() -> str:
        return code_cache._digest()

    copy = tmp_path / "features"
    shutil.copytree(Path(code_cache.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_cache, "_HERE", copy)
    digests = {digest()}
    for name in ("compiled/seen.py", "folds.py", "aging.py", "packing.py", "windows.py", "contributions.py"):
        (copy / name).write_text((copy / name).read_text() + "\n")
        digests.add(digest())
    assert len(digests) == 7
    (copy / "definitions.py").write_text("")
    assert digest() in digests


@pytest.mark.slow
def test_what_one_process_compiles_the_next_one_finds(tmp_path: Path) -> None:
    environment = os.environ | {code_cache.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-m", "features.compiled"]
    subprocess.run(command, env=environment, cwd=Path(code_cache.__file__).parents[1], check=True, timeout=600)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert kept
    subprocess.run(command, env=environment, cwd=Path(code_cache.__file__).parents[1], check=True, timeout=600)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == kept
