"""Segments: every offset once, whatever files there are and whoever writes them."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.offline.compaction import KEEP_MS
from features.offline.segments import Piece, Segments, sources

DATE = 1_767_225_600_000


def write(log: Segments, start: int, end: int, partition: int = 0, date_ms: int = DATE) -> None:
    offsets = list(range(start, end))
    table = pa.table(
        {"partition": pa.array([partition] * len(offsets), pa.int32()), "offset": pa.array(offsets, pa.int64())}
    )
    log.append(start, end, partition, date_ms, table)


def offsets(log: Segments, positions: dict[int, int] | None = None, rows: int = 1_000) -> list[tuple[int, int]]:
    return [
        (partition, offset)
        for table in log.tables(positions, rows)
        for partition, offset in zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True)
    ]


def file_count(log: Segments) -> int:
    return len(list(log.folder.rglob("*.parquet")))


def test_a_source_that_was_never_written_is_empty(tmp_path: Path) -> None:
    log = Segments(tmp_path / "none")
    assert (log.plan(), log.ends(), offsets(log), log.compact(DATE)) == ([], {}, [], 0)
    assert sources(tmp_path / "nowhere") == []


def test_overlapping_segments_count_each_offset_once(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    for start, end in ((0, 5), (3, 9), (3, 4), (0, 5), (9, 12), (8, 12)):
        write(log, start, end)
    assert offsets(log) == [(0, offset) for offset in range(12)]
    assert log.ends() == {0: 12}


def test_gaps_stay_gaps_and_partitions_stay_apart(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    write(log, 5, 8, partition=1)
    write(log, 2, 4, partition=0)
    write(log, 6, 7, partition=0)
    assert offsets(log) == [(0, 2), (0, 3), (0, 6), (1, 5), (1, 6), (1, 7)]
    assert log.ends() == {0: 7, 1: 8}
    assert [source.name for source in sources(tmp_path)] == ["s"]


def test_reading_starts_at_a_position_and_leaves_out_partitions_that_have_none(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    write(log, 0, 5, partition=0)
    write(log, 0, 5, partition=1)
    assert offsets(log, {1: 3}) == [(1, 3), (1, 4)]
    assert offsets(log, {}) == []
    assert offsets(log, {0: 9}) == []


def test_small_segments_are_read_together_and_large_ones_in_parts(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    for at in range(10):
        write(log, at, at + 1)
    write(log, 0, 25, partition=1)
    assert [table.num_rows for table in log.tables(None, 10)] == [10, 10, 10, 5]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 12)), max_size=12),
    st.lists(st.booleans(), max_size=3),
)
def test_any_files_give_each_offset_once_and_compaction_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[int, int, int]], much_later: list[bool]
) -> None:
    log = Segments(tmp_path_factory.mktemp("s"))
    for number, (partition, start, length) in enumerate(files):
        write(log, start, start + length, partition, DATE + number % 2 * 86_400_000)
    held = {(partition, start + n) for partition, start, length in files for n in range(length)}
    assert offsets(log, rows=7) == sorted(held)
    ends = log.ends()
    for late in much_later:
        log.compact(2**62 if late else 0)
        assert offsets(log, rows=7) == sorted(held)
        assert log.ends() == ends


def test_compaction_leaves_one_file_and_readers_that_planned_before_can_still_read(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    for at in range(0, 50, 5):
        write(log, at, at + 5)
    reading = log.tables(None, 5)
    first = next(reading)
    assert log.compact(DATE) == 10
    assert log.compact(DATE) == 0
    assert len(log.plan()) == 1
    assert first.num_rows + sum(table.num_rows for table in reading) == 50
    written = log.plan()[0].path.stat().st_mtime * 1000
    log.compact(int(written) + KEEP_MS - 1_000)
    assert file_count(log) == 11
    log.compact(int(written) + KEEP_MS + 1_000)
    assert file_count(log) == 1


def test_a_file_that_is_merged_long_after_it_was_written_stays_for_those_who_planned_with_it(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    for at in range(2):
        write(log, at, at + 1)
    for path in log.folder.glob("*/*"):
        os.utime(path, (0, 0))
    log.compact(DATE)
    log.compact(int(time.time() * 1000))
    assert file_count(log) == 3


@pytest.mark.parametrize("whole", [True, False])
def test_a_reader_goes_on_after_its_files_were_replaced_and_taken_away(tmp_path: Path, whole: bool) -> None:
    log = Segments(tmp_path / "s")
    for partition in (0, 1):
        for start in range(0, 50, 5):
            write(log, start, start + 5, partition)
    reading = log.tables(None if whole else {0: 3, 1: 7}, 1)
    read = [
        (table["partition"][0].as_py(), offset) for table in [next(reading)] for offset in table["offset"].to_pylist()
    ]
    log.compact(DATE)
    log.compact(2**62)
    assert file_count(log) == 1
    read += [(table["partition"][0].as_py(), offset) for table in reading for offset in table["offset"].to_pylist()]
    first = {0: 0, 1: 0} if whole else {0: 3, 1: 7}
    assert read == [(partition, offset) for partition in (0, 1) for offset in range(first[partition], 50)]


def test_compaction_keeps_to_the_partitions_that_it_is_given(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    for partition in (0, 1):
        for at in range(4):
            write(log, at, at + 1, partition)
    assert log.compact(DATE, {1: 4}) == 4
    assert [segment.partition for segment in log.plan()] == [0, 0, 0, 0, 1]


def test_a_large_segment_is_not_written_again_for_every_small_one(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    write(log, 0, 1_000)
    write(log, 1_000, 1_001)
    write(log, 1_001, 1_002)
    assert log.compact(DATE) == 2
    assert [(segment.start, segment.end) for segment in log.plan()] == [(0, 1_000), (1_000, 1_002)]
    write(log, 1_002, 1_300)
    assert log.compact(DATE) == 3


def test_segments_of_different_days_are_not_merged(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    write(log, 0, 1)
    write(log, 1, 2, date_ms=DATE + 86_400_000)
    assert log.compact(DATE) == 0
    assert sorted(path.name for path in log.folder.iterdir()) == ["date=2026-01-01", "date=2026-01-02"]


def test_a_half_written_file_is_never_seen_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Segments(tmp_path / "s")
    write(log, 0, 1)

    def torn(descriptor: int) -> None:
        os.ftruncate(descriptor, 100)
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", torn)
        with pytest.raises(OSError, match="no space"):
            write(log, 1, 2)
    assert offsets(log) == [(0, 0)]
    assert [path.name for path in log.folder.rglob("*.*")] == [log.plan()[0].path.name]


def test_what_a_crash_left_behind_and_foreign_files_are_no_segments(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    write(log, 0, 1)
    folder = log.plan()[0].path.parent
    (folder / ".0123.tmp").write_bytes(b"PAR1")
    (folder / "notes.parquet").write_bytes(b"")
    (folder / "1-2.parquet").write_bytes(b"")
    assert offsets(log) == [(0, 0)]


def test_file_and_folder_are_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(Segments(tmp_path / "s"), 0, 1)
    assert flushed[-2].endswith(".tmp")
    assert flushed[-1] == "date=2026-01-01"
    assert {tmp_path.name, "s"} <= {*flushed}


def piece(partition: int, start: int, end: int, date_ms: int = DATE) -> Piece:
    offsets = list(range(start, end))
    columns = {"partition": pa.array([partition] * len(offsets), pa.int32()), "offset": pa.array(offsets, pa.int64())}
    return Piece(partition, start, end, date_ms, pa.table(columns))


def test_what_several_partitions_add_at_once_is_one_file_and_each_is_read_by_itself(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    log.append_all([piece(0, 5, 9), piece(3, 100, 102), piece(11, 0, 3)])
    log.append_all([piece(0, 9, 10), piece(11, 2, 6)])
    assert sorted(path.name for path in log.folder.rglob("*.parquet")) == [
        "mixed-0.5.4-3.64.2-b.0.3.parquet",
        "mixed-0.9.1-b.2.4.parquet",
    ]
    assert log.ends() == {0: 10, 3: 102, 11: 6}
    assert offsets(log, {3: 101, 11: 1}) == [(3, 101), *((11, n) for n in range(1, 6))]
    held = [*((0, n) for n in range(5, 10)), (3, 100), (3, 101), *((11, n) for n in range(6))]
    assert offsets(log) == held
    assert log.compact(DATE) == 2
    assert offsets(log) == held
    assert len({segment.path for segment in log.plan()}) == 1


def test_a_file_of_several_partitions_is_filed_by_day_and_its_name_is_never_too_long(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    log.append_all([piece(n, 10**12 + n, 10**12 + n + 2, DATE + n % 2 * 86_400_000) for n in range(100)])
    files = list(log.folder.rglob("*.parquet"))
    assert {path.parent.name for path in files} == {"date=2026-01-01", "date=2026-01-02"}
    assert max(len(path.name) for path in files) < 256
    assert len(files) < 20
    assert log.ends() == {n: 10**12 + n + 2 for n in range(100)}
    assert len(offsets(log)) == 200


def test_a_partition_without_rows_moves_on_with_the_others(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    empty = piece(1, 0, 0)._replace(end=4)
    log.append_all([piece(0, 0, 2), empty._replace(date_ms=0)])
    assert [path.parent.name for path in log.folder.rglob("*.parquet")] == ["date=2026-01-01"]
    assert (log.ends(), offsets(log)) == ({0: 2, 1: 4}, [(0, 0), (0, 1)])
    assert log.compact(DATE) == 0


def test_a_large_file_of_many_partitions_is_read_by_the_groups_that_hold_the_one_asked_for(tmp_path: Path) -> None:
    log = Segments(tmp_path / "s")
    log.append_all([piece(n, 0, 30_000) for n in range(4)])
    (path,) = log.folder.rglob("*.parquet")
    with pq.ParquetFile(path) as file:
        groups = [len(segment.groups(file.metadata)) for segment in log.plan()]
        assert (file.num_row_groups, groups) == (4, [1, 1, 1, 1])
    assert offsets(log, {2: 29_998}) == [(2, 29_998), (2, 29_999)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 3), st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1), max_size=8
    ),
    st.lists(st.tuples(st.booleans(), st.none() | st.sets(st.integers(0, 3))), max_size=3),
)
def test_any_files_of_several_partitions_give_each_offset_once_and_compaction_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[dict[int, tuple[int, int]]],
    compactions: list[tuple[bool, set[int] | None]],
) -> None:
    log = Segments(tmp_path_factory.mktemp("s"))
    for number, file in enumerate(files):
        day = DATE + number % 2 * 86_400_000
        log.append_all([piece(p, start, start + length, day) for p, (start, length) in sorted(file.items())])
    held = sorted({(p, start + n) for file in files for p, (start, length) in file.items() for n in range(length)})
    assert offsets(log, rows=7) == held
    ends = log.ends()
    for late, mine in compactions:
        log.compact(2**62 if late else 0, mine)
        assert offsets(log, rows=7) == held
        assert log.ends() == ends
