"""Several processes and threads at one store: writers, readers, and those who discard."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.content import document_digest, table_digest
from headrace.errors import DamagedArtifactError, UnknownNameError
from headrace.store import LocalStore

FEW = st.integers(min_value=0, max_value=3)

# Each process does as it is told with documents and tables that are equal among the processes, and
# prints whatever it should not have seen.
WORKER = """
import random, sys
from pathlib import Path
import pyarrow as pa
from headrace.content import document_digest, table_digest
from headrace.errors import DamagedArtifactError, UnknownNameError
from headrace.store import LocalStore

root, role, seed, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
draw = random.Random(seed)
store = LocalStore(root)
tables = [pa.table({"n": list(range(k, k + 2000))}) for k in range(6)]
documents = [{"number": k, "text": "x" * 2000} for k in range(6)]
for number in range(rounds):
    k = draw.randrange(6)
    table, document = tables[k], documents[k]
    digest, other = table_digest(table), document_digest(document)
    if role == "write":
        own = {"only": seed, "number": number}
        for put in (lambda: store.put_table(table), lambda: store.put_document(document)):
            put()
        if store.read_document(store.put_document(own).digest) != own:
            print("own content came back otherwise")
    elif role == "read":
        try:
            if table_digest(store.read_table(digest)) != digest:
                print("another table")
        except (UnknownNameError, DamagedArtifactError):
            pass
        try:
            if store.read_document(other) != document:
                print("another document")
        except (UnknownNameError, DamagedArtifactError):
            pass
        store.has(digest)
    else:
        store.discard(draw.choice([digest, other]))
"""


def run_together(root: Path, roles: list[str], rounds: int) -> list[str]:
    """Run a process for each role; return what they said and with which errors they ended."""
    LocalStore(root)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root), role, str(seed), str(rounds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, role in enumerate(roles)
    ]
    return [text for worker in workers for text in worker.communicate() if text]


def test_writers_readers_and_discarders_in_processes_see_only_whole_content(tmp_path: Path):
    root = tmp_path / "store"

    said = run_together(root, ["write", "write", "read", "discard"], 60)

    store = LocalStore(root)
    digests = list(store.digests())
    assert said == []
    assert len(digests) >= 120  # what each writer alone has put
    assert all(store.has(digest) for digest in digests)
    assert list((root / "staging").iterdir()) == []


def test_threads_that_write_read_damage_and_discard_see_only_whole_content(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    table = pa.table({"n": list(range(500))})
    digest = table_digest(table)
    wrong: list[str] = []
    over = threading.Event()

    def until_over(act: Callable[[], object]) -> Callable[[], None]:
        def loop() -> None:
            while not over.is_set():
                try:
                    act()
                except (UnknownNameError, DamagedArtifactError):
                    pass
                except Exception as error:
                    wrong.append(repr(error))
                    return

        return loop

    def read() -> None:
        if table_digest(store.read_table(digest)) != digest:
            wrong.append("another table")

    def write() -> None:
        if store.put_table(table).digest != digest:
            wrong.append("another digest")

    def forget_others() -> None:
        store.discard(store.put_document({"k": 1}).digest)

    acts = [write, write, read, read, forget_others, lambda: store.discard(digest)]
    threads = [threading.Thread(target=until_over(act)) for act in acts]
    for thread in threads:
        thread.start()
    over.wait(3.0)
    over.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert store.put_table(table).digest == digest
    assert store.read_table(digest).equals(table)


class Stores(RuleBasedStateMachine):
    """Two stores on one directory, as two processes have them, against what should be there."""

    @initialize()
    def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.stores = [LocalStore(Path(self._folder.name)) for _ in range(2)]
        self.sound: set[int] = set()
        self.damaged: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    @staticmethod
    def content(k: int) -> dict[str, int]:
        return {"number": k}

    def digest(self, k: int) -> str:
        return document_digest(self.content(k))

    @rule(who=st.integers(0, 1), k=FEW)
    def put(self, who: int, k: int) -> None:
        assert self.stores[who].put_document(self.content(k)).digest == self.digest(k)
        self.sound.add(k)
        self.damaged.discard(k)

    @rule(who=st.integers(0, 1), k=FEW)
    def discard(self, who: int, k: int) -> None:
        self.stores[who].discard(self.digest(k))
        self.sound.discard(k)
        self.damaged.discard(k)

    @rule(k=FEW, how=st.sampled_from(["document", "manifest", "cut", "gone"]))
    def damage(self, k: int, how: str) -> None:
        if k not in self.sound:
            return
        digest = self.digest(k)
        folder = self.stores[0].root / "objects" / digest[:2] / digest
        path = folder / ("manifest.json" if how == "manifest" else "document.json")
        path.chmod(0o644)
        if how == "gone":
            path.unlink()
        else:
            content = path.read_bytes()
            path.write_bytes(content[:-1] if how == "cut" else content[:-2] + b"# ")
        self.sound.remove(k)
        self.damaged.add(k)

    @rule(who=st.integers(0, 1))
    def open_again(self, who: int) -> None:
        self.stores[who] = LocalStore(self.stores[who].root)

    @invariant()
    def each_says_what_is_there(self) -> None:
        for store in getattr(self, "stores", ()):
            for k in range(4):
                assert store.has(self.digest(k)) is (k in self.sound)
                if k in self.sound:
                    assert store.read_document(self.digest(k)) == self.content(k)
                else:
                    error = DamagedArtifactError if k in self.damaged else UnknownNameError
                    with pytest.raises(error):
                        store.read_document(self.digest(k))


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@given(
    columns=st.lists(
        st.lists(st.one_of(st.none(), st.floats(), st.just(-0.0)), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, 3),
)
@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_equal_content_is_one_object_however_it_is_cut_and_comes_back_whole(
    tmp_path: Path, columns: list[list[float | None]], cut: int
):
    store = LocalStore(tmp_path / "store")
    table = pa.table({f"c{i}": pa.array(c, pa.float64()) for i, c in enumerate(columns)})

    first = store.put_table(table)
    again = store.put_table(pa.concat_tables([table.slice(0, cut), table.slice(cut)]))

    assert again == first
    assert table_digest(store.read_table(first.digest)) == table_digest(table)
