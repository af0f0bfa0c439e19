"""Files of rows: what is read, what is refused and how much of the file is held."""

import gzip
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import BadInput
from pipelines.imports.lines import MAX_RECORD, Refused, Row
from pipelines.imports.rows import Rows


def _read(path: Path) -> list[Row | Refused]:
    with Rows(path) as rows:
        return list(rows)


def _file(folder: Path, content: bytes | str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _values(path: Path) -> list[tuple[int, list[object] | str]]:
    return [
        (row.number, list(row.values.values()) if isinstance(row, Row) else row.reason.partition(":")[0])
        for row in _read(path)
    ]


def test_a_row_is_numbered_by_its_line_in_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, '\ufeffa,b\r\n1,"x\r\ny, ""z"""\r\n\r\n2,\r\n')
    assert _values(path) == [(2, ["1", 'x\r\ny, "z"']), (5, ["2", ""])]
    with Rows(path) as rows:
        assert rows.columns == ("a", "b")


def test_a_broken_line_is_refused_with_its_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n1,2,3\n4\n\xff,5\n6,"open\n7,8\n9,"x"y\n10,11\n'
    assert _values(_file(tmp_path, content)) == [
        (2, ["1", "2"]),
        (3, "3 fields where the header has 2"),
        (4, "1 fields where the header has 2"),
        (5, "not UTF-8"),
        (6, "the quotes don't match"),
        (7, ["7", "8"]),
        (8, "the quotes don't match"),
        (9, ["10", "11"]),
    ]


def test_a_quote_that_is_never_closed_costs_one_row_only(tmp_path: Path) -> None:
    rest = "".join(f"{n},{n}\n" for n in range(300))
    for opened in ('0,"open\n', '0,"open\n0,"open\n'):
        found = _read(_file(tmp_path, "a,b\n" + opened + rest))
        assert sum(isinstance(row, Row) for row in found) == 300
        assert len(found) == 300 + opened.count("\n")


def test_an_inch_mark_inside_a_field_is_text(tmp_path: Path) -> None:
    assert _values(_file(tmp_path, 'a,b\n1,5" PLATE\n2,x\n')) == [(2, ["1", '5" PLATE']), (3, ["2", "x"])]


def test_a_line_without_end_is_refused_and_skipped(tmp_path: Path) -> None:
    path = _file(tmp_path, b"a,b\n1," + b"x" * (3 * MAX_RECORD) + b"\n2,y\n")
    assert _values(path) == [(2, f"the line is longer than {MAX_RECORD} bytes"), (3, ["2", "y"])]
    assert all(len(row.raw) <= 2_000 for row in _read(path) if isinstance(row, Refused))


def test_semicolons_and_tabs_divide_where_the_header_says_so(tmp_path: Path) -> None:
    assert _values(_file(tmp_path, "a;b\n1,5;x\n")) == [(2, ["1,5", "x"])]
    assert _values(_file(tmp_path, "a\tb\n1\tx\n", "rows.tsv")) == [(2, ["1", "x"])]


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_packed_file_reads_as_the_plain_one_and_its_position_ends_at_its_size(packing: str, tmp_path: Path) -> None:
    plain = _file(tmp_path, "a,b\n" + "".join(f"{n},{n * n}\n" for n in range(50_000)))
    path = tmp_path / f"packed.csv{packing}"
    codec = "gzip" if packing == ".gz" else "zstd"
    with pa.output_stream(str(path), compression=codec) as out:
        out.write(plain.read_bytes())
    with Rows(path) as rows:
        source = iter(rows)
        first, early = next(source), rows.position
        assert [first, *source] == _read(plain)
        assert 0 < early < rows.position == rows.size == path.stat().st_size


def test_json_lines_hold_objects_and_refuse_the_rest(tmp_path: Path) -> None:
    path = _file(tmp_path, b'\xef\xbb\xbf{"a": 1}\n\n[1]\n{"a": \n\xff\n{"b": [2]}\n', "rows.jsonl")
    assert _values(path) == [(1, [1]), (3, "not a JSON object"), (4, "not JSON"), (5, "not JSON"), (6, [[2]])]
    with Rows(path) as rows:
        assert rows.columns == ("a", "b")


def test_parquet_keeps_its_types_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    when = datetime(2026, 3, 1, 12, tzinfo=UTC)
    table = pa.table({"a": [1.0, None, 3.0], "t": [when] * 3})
    pq.write_table(table, path, row_group_size=2)
    assert _values(path) == [(1, [1.0, when]), (2, [None, when]), (3, [3.0, when])]
    with Rows(path) as rows:
        assert len(list(rows)) == 3
        assert rows.position == rows.size


def test_a_file_that_cannot_be_read_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    cases = {
        tmp_path / "missing.csv": "No such file",
        tmp_path / "folder.csv": "is a directory",
        _file(tmp_path, "", "empty.csv"): "is empty",
        _file(tmp_path, gzip.compress(b""), "empty.jsonl.gz"): "is empty",
        _file(tmp_path, gzip.compress(b""), "empty.csv.gz"): "is empty",
        _file(tmp_path, "a\n1\n", "rows.xls"): "ends in none of .csv",
        _file(tmp_path, "a,a\n1,2\n", "twice.csv"): "two columns named 'a'",
        _file(tmp_path, "a,b\n".encode("utf-16"), "wide.csv"): "UTF-16",
        _file(tmp_path, b"a,\xff\n", "latin.csv"): "is not UTF-8",
        _file(tmp_path, "a,b\n1,2\n", "plain.csv.gz"): "can't be read as csv",
        _file(tmp_path, "a,b\n1,2\n", "text.parquet"): "can't be read as parquet",
    }
    for path, reason in cases.items():
        with pytest.raises(BadInput, match=reason) as caught:
            Rows(path)
        assert caught.value.field == "file"
        assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_short_gives_its_rows_and_then_says_so(tmp_path: Path) -> None:
    whole = gzip.compress("".join(["a,b\n", *(f"{n},{n * n}\n" for n in range(50_000))]).encode())
    with Rows(_file(tmp_path, whole[: len(whole) // 2], "cut.csv.gz")) as opened:
        rows = iter(opened)
        assert isinstance(next(rows), Row)
        with pytest.raises(BadInput, match=r"can't be read on after row [1-9]"):
            list(rows)


def test_a_file_of_100_000_rows_is_read_in_under_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "many.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as out:
        out.write("user_id,item_id,timestamp\n")
        out.writelines(f"u{n % 999},i{n % 777},{1_700_000_000 + n}\n" for n in range(100_000))
    tracemalloc.start()
    try:
        with Rows(path) as rows:
            assert sum(1 for _ in rows) == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20  # the text alone has 2.4 MB
