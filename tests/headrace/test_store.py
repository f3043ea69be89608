"""These tests specify the local store: whole or not at all, checked when read, many writers."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from headrace.clock import VirtualClock
from headrace.content import table_digest
from headrace.errors import DamagedArtifactError, StoreError, UnknownNameError
from headrace.store import LocalStore, Store
from headrace.store.contract import StoreContract

DELAYS = pa.table({"carrier": ["UA", "AA"], "delay": [4.0, -2.0]})


class TestLocalStore(StoreContract):
    def make_store(self, tmp_path: Path) -> Store:
        return LocalStore(tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def object_of(store: LocalStore, digest: str) -> Path:
    return next(Path(store.root).glob(f"objects/*/{digest}"))


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(path, bytes(content))


def cut_short(path: Path) -> None:
    overwrite(path, path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "how"),
    [
        pytest.param(flip_a_byte, "the bytes of its file 'table.parquet' were changed", id="a bit"),
        pytest.param(cut_short, "its file 'table.parquet' has", id="cut short"),
        pytest.param(Path.unlink, "its file 'table.parquet' is gone", id="gone"),
    ],
)
def test_a_damaged_table_is_said_and_never_returned(
    store: LocalStore, harm: Callable[[Path], None], how: str
):
    stored = store.put_table(DELAYS)
    harm(object_of(store, stored.digest) / "table.parquet")

    with pytest.raises(DamagedArtifactError) as caught:
        store.read_table(stored.digest)

    assert caught.value.problem.startswith(f"The artifact {stored.digest[:12]} is damaged: {how}")
    assert caught.value.remedy == (
        "run the flow again: it sets the damaged copy aside and computes the artifact anew."
    )
    assert not store.has(stored.digest)


def test_a_table_is_checked_again_after_its_file_changed(store: LocalStore):
    stored = store.put_table(DELAYS)
    store.read_table(stored.digest)
    flip_a_byte(object_of(store, stored.digest) / "table.parquet")

    with pytest.raises(DamagedArtifactError):
        store.read_table(stored.digest)


def test_another_table_in_the_place_of_one_is_not_returned(store: LocalStore):
    stored = store.put_table(DELAYS)
    path = object_of(store, stored.digest) / "table.parquet"
    path.unlink()
    parquet.write_table(DELAYS.slice(1), path)

    with pytest.raises(DamagedArtifactError):
        store.read_table(stored.digest)


def test_a_changed_manifest_is_said(store: LocalStore):
    stored = store.put_table(DELAYS)
    path = object_of(store, stored.digest) / "manifest.json"
    manifest = json.loads(path.read_bytes()) | {"rows": 3}
    overwrite(path, json.dumps(manifest).encode())

    with pytest.raises(DamagedArtifactError) as caught:
        store.read_table(stored.digest)

    assert caught.value.problem == (
        f"The artifact {stored.digest[:12]} is damaged: its manifest is missing or was changed."
    )


def test_a_file_added_to_a_model_is_said(store: LocalStore, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("1")
    stored = store.put_files(tmp_path / "model")
    (store.files(stored.digest) / "b").write_text("2")

    with pytest.raises(DamagedArtifactError, match="somebody added the file 'files/b' to it"):
        store.files(stored.digest)


def test_a_damaged_table_is_put_again_and_the_damaged_copy_kept_aside(store: LocalStore):
    stored = store.put_table(DELAYS)
    flip_a_byte(object_of(store, stored.digest) / "table.parquet")

    again = store.put_table(DELAYS)

    assert again == stored
    assert store.read_table(stored.digest).equals(DELAYS)
    aside = list((store.root / "quarantine").iterdir())
    assert [path.name.split(".")[0] for path in aside] == [stored.digest]


def test_what_is_kept_cannot_be_written_by_accident(store: LocalStore, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("1")
    stored = store.put_files(tmp_path / "model")

    mode = (store.files(stored.digest) / "a").stat().st_mode

    assert mode & 0o777 == 0o444


def test_a_table_is_kept_as_parquet_that_any_tool_reads(store: LocalStore):
    stored = store.put_table(DELAYS)

    table = parquet.read_table(object_of(store, stored.digest) / "table.parquet")

    assert table.equals(DELAYS)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([1, 2, None], pa.timestamp("s", "Asia/Tokyo")), id="seconds"),
        pytest.param(pa.array([1, 2, None], pa.timestamp("ns")), id="nanoseconds"),
        pytest.param(pa.array([1, None, 3], pa.duration("s")), id="duration"),
        pytest.param(pa.array([0, None, 86_400_000], pa.date64()), id="date64"),
        pytest.param(pa.array(["a", None, "a"], pa.large_string()), id="large string"),
        pytest.param(pa.array(["a", None, "a"], pa.string_view()), id="string view"),
        pytest.param(pa.array([5, None, 5]).dictionary_encode(), id="numbers as a dictionary"),
        pytest.param(
            pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None])),
            id="null in a dictionary",
        ),
        pytest.param(pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), id="vectors"),
        pytest.param(pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())), id="map"),
        pytest.param(pa.array([{"a": 1}, None, {"a": None}]), id="struct"),
        pytest.param(pa.array([{}, None, {}], pa.struct([])), id="struct of nothing"),
        pytest.param(pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), id="run ends"),
        pytest.param(
            pa.array([(1, 2, 3), None, None], pa.month_day_nano_interval()), id="interval"
        ),
        pytest.param(pa.array([2**64 - 1, None, 0], pa.uint64()), id="large numbers"),
        pytest.param(pa.nulls(3), id="nothing but null"),
    ],
)
def test_every_type_comes_back_as_it_was(store: LocalStore, column: pa.Array):
    table = pa.table({"a.b": column, "c": [1, 2, 3]})

    back = store.read_table(store.put_table(table).digest)
    projected = store.read_table(store.put_table(table).digest, ["a.b"])

    assert back.schema == table.schema
    assert back.to_pylist() == table.to_pylist()
    assert table_digest(projected) == table_digest(table.select(["a.b"]))


def test_the_wrong_reader_is_told_the_right_one(store: LocalStore):
    stored = store.put_document({"auc": 0.5})

    with pytest.raises(StoreError) as caught:
        store.read_table(stored.digest)

    assert str(caught.value) == (
        f"The artifact {stored.digest[:12]} holds a document, not a table.\n"
        "  Fix: read it with read_document(digest)."
    )


def test_an_unknown_digest_is_said_with_the_store(store: LocalStore):
    with pytest.raises(UnknownNameError) as caught:
        store.read_document("f" * 64)

    assert str(caught.value) == (
        f"There is no artifact ffffffffffff in the store at '{store.root}'.\n"
        "  Fix: check the digest, or run the flow that makes the artifact again."
    )


def test_a_link_among_a_models_files_is_refused(store: LocalStore, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to("/dev/null")

    with pytest.raises(StoreError, match="neither a plain file nor a directory"):
        store.put_files(tmp_path / "model")


def test_a_store_where_a_file_is_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "store").write_text("")

    with pytest.raises(StoreError) as caught:
        LocalStore(tmp_path / "store")

    assert caught.value.remedy == "check that the path exists, is a directory and its disk is well."


def test_without_room_nothing_is_visible_and_the_remedy_is_said(store: LocalStore):
    noise = pa.table({"x": random.Random(1).randbytes(200_000).hex().split("0")})  # noqa: S311
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError) as caught:
            store.put_table(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.remedy == ("free some space or move the store, then run again.")
    assert list(store.digests()) == []
    assert list((store.root / "staging").iterdir()) == []
    assert store.read_table(store.put_table(noise).digest).equals(noise)


def test_what_a_killed_writer_left_is_swept_after_a_day(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    left = store.root / "staging" / "1-abandoned"
    left.mkdir()
    now = datetime.now(UTC)

    LocalStore(store.root, clock=VirtualClock(now + timedelta(hours=23)))
    after_hours = left.exists()
    LocalStore(store.root, clock=VirtualClock(now + timedelta(hours=25)))

    assert after_hours
    assert not left.exists()


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from headrace.store import LocalStore

store, first = LocalStore(Path(sys.argv[1])), int(sys.argv[2])
for number in range(first, first + int(sys.argv[3])):
    store.put_table(pa.table({"n": list(range(number, number + 3_000))}))
    print(number, flush=True)
"""


def start_writer(root: Path, *, first: int, count: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", WRITER, str(root), str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE)


def test_writers_killed_at_any_moment_leave_nothing_half_visible(tmp_path: Path):
    moments = random.Random(20131)  # noqa: S311
    root = tmp_path / "store"

    written = 0
    for first in range(0, 6_000, 1_000):
        writer = start_writer(root, first=first, count=1_000)
        assert writer.stdout is not None
        for _ in range(moments.randint(1, 8)):
            assert writer.stdout.readline()
            written += 1
        time.sleep(moments.uniform(0.0, 0.004))
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()

    store = LocalStore(root)
    digests = list(store.digests())
    assert len(digests) >= written
    for digest in digests:
        assert table_digest(store.read_table(digest)) == digest


def test_many_writers_of_the_same_content_leave_one_sound_copy_each(tmp_path: Path):
    root = tmp_path / "store"

    writers = [start_writer(root, first=0, count=40) for _ in range(4)]
    for writer in writers:
        writer.communicate()

    store = LocalStore(root)
    digests = list(store.digests())
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert len(digests) == 40
    assert all(table_digest(store.read_table(digest)) == digest for digest in digests)
    assert list((root / "staging").iterdir()) == []
    assert list((root / "quarantine").iterdir()) == []
