"""The law of the store under faults: the whole content or a word that it is not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.content import table_digest
from headrace.errors import StoreError
from headrace.store import LocalStore

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets calls go wrong."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler to stand before the C library")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = HERE / "faults.c"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-w",
        "-D_FORTIFY_SOURCE=0",
        "-o",
        library,
        source,
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return library


@pytest.mark.parametrize(("kind", "least"), [("table", 500), ("document", 400), ("files", 700)])
def test_whatever_goes_wrong_at_any_call_of_a_write_nothing_wrong_is_ever_returned(
    faults: Path, kind: str, least: int
):
    memory = Path("/dev/shm")  # noqa: S108  where a thousand writes need not wait for a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        done = subprocess.run(
            [sys.executable, HERE / "_faulty_writes.py", kind, folder],
            env=os.environ | {"LD_PRELOAD": str(faults)},
            capture_output=True,
            text=True,
            check=False,
        )

    said = json.loads(done.stdout or "null")
    assert done.returncode == 0, done.stderr
    assert said["broken"] == []
    assert said["trials"] >= least  # the faults were there


def test_a_disk_that_is_really_full_is_said_and_takes_the_content_once_it_has_room(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        ballast = disk / "ballast"
        store = LocalStore(disk / "store")
        table = pa.table({"text": [os.urandom(16).hex() for _ in range(5_000)]})
        ballast.write_bytes(bytes(250_000))

        with pytest.raises(StoreError) as caught:
            store.put_table(table)
        left = [*store.digests(), *(store.root / "staging").iterdir()]
        ballast.unlink()
        stored = store.put_table(table)

        assert caught.value.remedy == "free some space or move the store, then run again."
        assert left == []
        assert table_digest(store.read_table(stored.digest)) == stored.digest
    finally:
        subprocess.run(["umount", str(disk)], check=True)
