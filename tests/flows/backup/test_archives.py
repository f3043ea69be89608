"""An archive is whole and as it was written, or it is refused and nothing is changed."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from flows._backup import backup, restore
from flows._backup.archive import read_manifest
from flows._backup.unpacking import unpack
from headrace.errors import DamagedArtifactError, HeadraceError, StoreError
from headrace.lineage.database import HEAD
from headrace.settings import Settings

Contents = Callable[[Path], dict[str, str]]
REMEDY = "  Fix: use another copy of it, or another backup; nothing was changed."


@pytest.fixture
def archive(home: Settings, tmp_path: Path) -> Path:
    backup(tmp_path / "home.tar", of=home)
    return tmp_path / "home.tar"


def rewritten(archive: Path, change: Callable[[tarfile.TarInfo, bytes], Iterable]) -> Path:
    """Write an archive again, with what `change` makes of each member."""
    made = archive.with_name("changed.tar")
    with tarfile.open(archive) as old, tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as new:
        for member in old:
            for info, content in change(member, old.extractfile(member).read()):
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    return made


def refusal(archive: Path, home: Path) -> str:
    with pytest.raises(DamagedArtifactError) as caught:
        restore(archive, home)
    assert not home.exists()
    assert list(home.parent.glob(".*restoring*")) == []
    return str(caught.value)


def test_a_changed_byte_anywhere_is_refused_or_was_nothing_of_the_home(
    archive: Path, tmp_path: Path, contents: Contents
):
    unpack(archive, tmp_path / "sound", lambda _: None)
    sound, content = contents(tmp_path / "sound"), archive.read_bytes()
    places = [(n * 7919 + 101) % len(content) for n in range(250)]  # all over it
    refused = 0

    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (tmp_path / "changed.tar").write_bytes(changed)
        try:
            unpack(tmp_path / "changed.tar", tmp_path / "unpacked", lambda _: None)
        except HeadraceError as error:
            refused += isinstance(error, DamagedArtifactError)
        else:  # what fills the blocks of a tar is no part of it
            assert contents(tmp_path / "unpacked") == sound, place
        shutil.rmtree(tmp_path / "unpacked", ignore_errors=True)

    assert refused > len(places) / 2


def test_a_changed_artifact_is_named(archive: Path, tmp_path: Path):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        last = content[-1:] if not member.name.endswith("table.parquet") else b"?"
        return [(member, content[:-1] + last)]

    said = refusal(rewritten(archive, change), tmp_path / "new")

    assert said.startswith("The archive is damaged: the bytes of 'store/objects/")
    assert said.endswith(f"/table.parquet' were changed.\n{REMEDY}")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_archive_that_was_cut_off_is_refused(archive: Path, tmp_path: Path, share: float):
    content = archive.read_bytes()
    end = content.rindex(b"manifest.json")  # what follows it is the list of files, and padding
    (tmp_path / "cut.tar").write_bytes(content[: int(end * share)])

    assert refusal(tmp_path / "cut.tar", tmp_path / "new").endswith(REMEDY)


def test_a_list_of_files_that_was_changed_is_refused(archive: Path, tmp_path: Path):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "manifest.json":
            told = json.loads(content)
            told["files"].pop("mlflow/artifacts/1/.hidden.lock")
            content = json.dumps(told).encode()
        return [] if member.name.endswith(".hidden.lock") else [(member, content)]

    said = refusal(rewritten(archive, change), tmp_path / "new")

    assert said == f"The archive is damaged: its list of files was changed.\n{REMEDY}"


def test_a_file_that_is_missing_is_named(archive: Path, tmp_path: Path):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        return [] if member.name.endswith(".hidden.lock") else [(member, content)]

    said = refusal(rewritten(archive, change), tmp_path / "new")

    assert said == (
        f"The archive is damaged: 'mlflow/artifacts/1/.hidden.lock' is missing.\n{REMEDY}"
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("home/../../evil", "is a place outside of a home", id="above"),
        pytest.param("/evil", "is a place outside of a home", id="absolute"),
        pytest.param("home//evil", "is a place outside of a home", id="absolute within"),
        pytest.param("evil", "is a place outside of a home", id="beside"),
        pytest.param("home/a/./evil", "is a place outside of a home", id="roundabout"),
        pytest.param("home/new", "is not on its list of files", id="added"),
        pytest.param("home/headrace.db", "comes twice", id="twice"),
        pytest.param("home/headrace.db/inner", "is a file and a folder", id="below a file"),
    ],
)
def test_a_file_at_an_unsafe_place_is_never_written(
    archive: Path, tmp_path: Path, name: str, problem: str
):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        added = [(tarfile.TarInfo(name), b"evil")] if member.name == "manifest.json" else []
        return [*added, (member, content)]

    said = refusal(rewritten(archive, change), tmp_path / "deep" / "new")

    assert said == f"The archive is damaged: '{said.split(chr(39))[1]}' {problem}.\n{REMEDY}"
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_plain_file_is_refused(archive: Path, tmp_path: Path, kind: bytes):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        link = tarfile.TarInfo("home/link")
        link.type, link.linkname = kind, "/etc"
        return [(link, b""), (member, content)] if "objects" in member.name else [(member, content)]

    said = refusal(rewritten(archive, change), tmp_path / "new")

    assert said == f"The archive is damaged: 'home/link' is no plain file.\n{REMEDY}"


def test_an_archive_of_a_newer_headrace_is_refused(archive: Path, tmp_path: Path):
    def change(member: tarfile.TarInfo, content: bytes) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "header.json":
            content = json.dumps(json.loads(content) | {"revision": "9999"}).encode()
        return [(member, content)]

    with pytest.raises(StoreError) as caught:
        restore(rewritten(archive, change), tmp_path / "new")

    assert str(caught.value) == (
        f"The archive's database is at revision 9999; this Headrace knows revisions up to {HEAD}.\n"
        "  Fix: upgrade Headrace to the version that wrote it, 0.1.0 or newer."
    )
    assert not (tmp_path / "new").exists()


def test_a_tar_of_something_else_is_refused(tmp_path: Path):
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("beach.jpg"))

    said = refusal(tmp_path / "photos.tar", tmp_path / "new")

    assert said == (
        f"'{tmp_path / 'photos.tar'}' is a tar, and no backup of a home: it begins with "
        "'beach.jpg'.\n  Fix: name a file that `headrace backup` wrote."
    )


KILLED = """
import os, signal, sys
from pathlib import Path
from flows._backup import backup
from headrace.settings import load_settings

def stop(progress):
    if progress.files == 3:
        os.kill(os.getpid(), signal.SIGKILL)

backup(Path(sys.argv[1]), of=load_settings(home=sys.argv[2]), report=stop)
"""
FULL = """
import resource, sys
from pathlib import Path
from flows._backup import backup
from headrace.errors import StoreError
from headrace.settings import load_settings

resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    backup(Path(sys.argv[1]), of=load_settings(home=sys.argv[2]))
except StoreError as error:
    print(error)
"""


def test_a_backup_that_was_killed_leaves_nothing_that_looks_whole(home: Settings, tmp_path: Path):
    folder = tmp_path / "backups"
    folder.mkdir()
    command = [sys.executable, "-c", KILLED, str(folder / "home.tar"), str(home.home)]

    killed = subprocess.run(command, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "home.tar").exists()
    assert refusal(folder / "home.tar.partial", tmp_path / "new").endswith(REMEDY)
    backup(folder / "home.tar", of=home)
    assert restore(folder / "home.tar", tmp_path / "new").crashed == ()
    assert not (folder / "home.tar.partial").exists()


def test_a_backup_without_room_leaves_nothing_and_says_so(home: Settings, tmp_path: Path):
    folder = tmp_path / "backups"
    folder.mkdir()
    (home.home / "store" / "large").write_bytes(bytes(1_000_000))
    command = [sys.executable, "-c", FULL, str(folder / "home.tar"), str(home.home)]

    full = subprocess.run(command, check=True, capture_output=True, text=True)

    assert full.stdout.startswith(
        f"The home '{home.home}' cannot be backed up to '{folder / 'home.tar'}': "
    )
    assert full.stdout.endswith(
        "\n  Fix: look at the room on that disk and at who may read and write there; nothing "
        "that looks like a backup was left.\n"
    )
    assert list(folder.iterdir()) == []


def test_the_list_of_files_says_what_was_removed_meanwhile(home: Settings, tmp_path: Path):
    folder = home.home / "mlflow" / "artifacts" / "2"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)

    def remove(progress: object) -> None:
        if getattr(progress, "name", "").endswith("2/a"):
            (folder / "b").unlink()

    done = backup(tmp_path / "home.tar", of=home, report=remove)

    assert done.vanished == ("mlflow/artifacts/2/b",)
    with tarfile.open(tmp_path / "home.tar") as tar:
        manifest = read_manifest(tar.extractfile("manifest.json").read())
    assert manifest.vanished == done.vanished
    assert restore(tmp_path / "home.tar", tmp_path / "new").vanished == done.vanished


def test_only_one_backup_writes_a_file(home: Settings, tmp_path: Path):
    said = []

    def again(_: object) -> None:
        with pytest.raises(StoreError) as caught:
            backup(tmp_path / "home.tar", of=home)
        said.append(str(caught.value))

    backup(tmp_path / "home.tar", of=home, report=again)

    assert set(said) == {
        f"Another backup is writing '{tmp_path / 'home.tar.partial'}'.\n"
        "  Fix: wait for it to end, or name another file."
    }
