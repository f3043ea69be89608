"""Keys: what they are made of, when there is none, and how they tell what changed."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DefinitionError
from headrace.identity import CodeIdentity, Key, Memo, Part, difference, identify, kernel, key_of

FACTOR = 3
SEEN: dict[str, int] = {}
LOCK = threading.Lock()


def scaled(x: int) -> int:
    return x * FACTOR


def plain(x: int) -> int:
    return scaled(x) + 1


def remembering(x: int) -> int:
    SEEN[str(x)] = SEEN.get(str(x), 0) + x
    return SEEN[str(x)]


def locked(x: int) -> int:
    with LOCK:
        return x


def evaluating(x: str) -> Any:
    return eval(x)  # noqa: S307


def defined(text: str, name: str = "step", **names: Any) -> Any:
    """Return a function of a module that exists only here."""
    namespace: dict[str, Any] = {"__name__": "typed_in", **names}
    exec(text, namespace)  # noqa: S102
    return namespace[name]


def key(code: CodeIdentity | None = None, **call: Any) -> Key:
    given: dict[str, Any] = {"schemas": {}, "parameters": {}, "inputs": {}, "seed": None}
    return key_of(code or identify(plain), **{**given, **call})


def parts_named(code: CodeIdentity) -> dict[str, str]:
    return {part.name: part.digest for part in code.parts}


def test_a_function_is_made_of_all_code_and_constants_that_it_reaches():
    code = identify(plain)

    kinds = [(part.kind, part.name.rpartition(".")[2]) for part in code.parts]
    assert code.unresolved == ()
    assert kinds == [
        ("python", "python"),
        ("code", "structure"),
        ("code", "plain"),
        ("code", "scaled"),
        ("constant", "FACTOR"),
    ]
    assert parts_named(code)[f"{__name__}.FACTOR"] == "3"


def test_the_python_version_is_a_part():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert Part(kind="python", name="python", digest=version) in identify(plain).parts


def test_a_library_counts_with_its_version_and_all_that_it_needs():
    step = defined("import pandas as pd\ndef step(x):\n    return pd.concat(x)\n")

    packages = [part.name for part in identify(step).parts if part.kind == "package"]

    assert packages == ["numpy", "pandas", "python-dateutil", "pytz", "six", "tzdata"]


def test_an_artifact_in_the_signature_brings_the_kernel_that_holds_it():
    from headrace.artifacts import Table

    step = defined(
        "from __future__ import annotations\ndef step(rows: Table) -> Table:\n    return rows\n",
        Table=Table,
    )

    packages = parts_named(identify(step))

    assert packages["headrace"].partition("+")[0]
    assert len(packages["headrace"].partition("+")[2]) == 12


def test_what_cannot_be_hashed_leaves_a_function_without_a_key():
    code = identify(locked)

    assert code.unresolved == (
        f"The constant '{__name__}.LOCK' holds a _thread.lock, whose state cannot be read.",
    )
    assert key(code).digest is None


def test_the_reason_says_where_the_function_is_now():
    line = evaluating.__code__.co_firstlineno + 1

    assert identify(evaluating).unresolved == (
        f"'{__name__}.evaluating' (line {line}) uses eval, which runs code that is made at run"
        " time.",
    )


def test_a_parameter_that_cannot_be_hashed_leaves_the_node_without_a_key():
    found = key(parameters={"lock": threading.Lock()})

    assert found.digest is None
    assert found.unresolved == (
        "Parameter 'lock' holds a _thread.lock, whose state cannot be read.",
    )


def test_a_name_that_has_no_value_yet_leaves_a_function_without_a_key():
    step = defined("def step(x):\n    return later(x)\n")

    assert identify(step).unresolved == (
        "'typed_in.step' (line 2) uses 'later', which has no value yet.",
    )


def test_functions_that_were_typed_in_are_followed():
    one, other = (
        defined(f"def helper(x):\n    return x + {n}\ndef step(x):\n    return helper(x)\n")
        for n in (1, 2)
    )

    assert key(identify(one)).digest != key(identify(other)).digest


def test_the_same_function_has_the_same_key_whatever_it_is_called():
    one = defined("def step(x):\n    return x + 1\n")
    other = defined("def step_two(x):\n    return x + 1\n", "step_two")

    assert key(identify(one)).digest == key(identify(other)).digest


def test_module_state_is_hashed_once_in_a_plan_so_that_running_it_changes_no_key():
    SEEN.clear()
    memo = Memo()
    before = key(identify(remembering, memo=memo), memo=memo)

    remembering(4)
    after = key(identify(remembering, memo=memo), memo=memo)

    assert before.digest == after.digest


def test_the_next_plan_sees_what_module_state_is_then():
    SEEN.clear()
    before = key(identify(remembering))

    SEEN["a"] = 1
    after = key(identify(remembering))

    assert before.digest != after.digest
    assert difference(before.parts, after.parts) == (
        f"the constant '{__name__}.SEEN' changed from {{}} to {{'a': 1}}",
    )


def test_calls_can_reach_as_deep_as_one_likes():
    chain = "".join(f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(2000))
    text = f"{chain}def f2000(x):\n    return x + LAST\ndef step(x):\n    return f0(x)\n"

    one, other = (identify(defined(text, LAST=last)) for last in (1, 2))

    assert one.unresolved == other.unresolved == ()
    assert key(one).digest != key(other).digest


def test_an_object_that_refuses_to_be_looked_at_leaves_the_node_without_a_key():
    class Shy:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("go away")

    found = key(parameters={"shy": Shy()})

    assert found.digest is None
    assert "cannot be read (RuntimeError)" in found.unresolved[0]


# -- parameters ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Window:
    hours: float

    def seconds(self) -> float:
        return scaled(int(self.hours))


def test_a_parameter_brings_the_code_of_its_class():
    found = key(parameters={"window": Window(3.0)})

    names = [part.name.rpartition(".")[2] for part in found.parts if part.kind in ("class", "code")]
    assert found.unresolved == ()
    assert "Window" in names
    assert "seconds" in names


JSON_LIKE = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 2), st.text("ab'", max_size=2),
        st.floats(width=16), st.binary(max_size=1), st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(st.text("ab", max_size=1), inner, max_size=3),
    ),
    max_leaves=5,
)  # fmt: skip
CODE = identify(plain)


def exactly(value: Any) -> Any:
    """Return something that equals another's exactly when no code can tell the values apart."""
    if isinstance(value, float):
        return "float", "nan" if math.isnan(value) else value.hex()
    if isinstance(value, list | tuple):
        return type(value).__name__, [exactly(item) for item in value]
    if isinstance(value, dict):
        return "dict", sorted((name, exactly(item)) for name, item in value.items())
    return type(value).__name__, repr(value)


@given(JSON_LIKE, JSON_LIKE)
def test_two_parameters_share_a_key_exactly_when_they_are_the_same(one, other):
    keys = [key(CODE, parameters={"p": value}).digest for value in (one, other)]

    assert None not in keys
    assert (keys[0] == keys[1]) == (repr(exactly(one)) == repr(exactly(other)))


@given(st.dictionaries(st.text(max_size=3), JSON_LIKE, max_size=5), st.randoms())
def test_the_order_of_a_parameter_s_entries_does_not_count(entries, random):
    items = list(entries.items())
    random.shuffle(items)

    assert (
        key(CODE, parameters={"p": entries}).digest
        == key(CODE, parameters={"p": dict(items)}).digest
    )


def test_inputs_schemas_parameters_and_seed_cannot_stand_for_each_other():
    keys = {
        key(CODE, parameters={"a": "1"}).digest,
        key(CODE, inputs={"a": "1"}).digest,
        key(CODE, inputs={"a": "'1'"}).digest,
        key(CODE, schemas={"a": "1"}).digest,
        key(CODE, seed=1).digest,
        key(CODE, parameters={"a": 1}).digest,
        key(CODE).digest,
    }

    assert len(keys) == 7


# -- what changed -------------------------------------------------------------------------------


def test_a_difference_says_in_words_what_changed():
    old = key(CODE, parameters={"above": 15.0}, inputs={"flights": "aa"}, schemas={"rows": "{}"})
    new = key(CODE, parameters={"above": 20.0}, inputs={"flights": "ab"}, schemas={"rows": "[]"},
              seed=7)  # fmt: skip

    assert difference(old.parts, new.parts) == (
        "parameter 'above' changed from 15.0 to 20.0",
        "input 'flights' changed",
        "the seed changed from None to 7",
        "the schema of 'rows' changed",
    )


def test_a_difference_names_the_helper_that_changed_and_not_what_calls_it():
    text = "def helper(x):\n    return x + {n}\ndef step(x):\n    return helper(x)\n"
    one, other = (identify(defined(text.format(n=n))) for n in (1, 2))

    assert difference(one.parts, other.parts) == ("the code of 'typed_in.helper' changed",)


def test_a_difference_tells_what_came_and_what_went():
    old = identify(defined("A = 1\ndef step(x):\n    return A\n"))
    new = identify(defined("B = 'late'\ndef step(x):\n    return B\n"))

    assert difference(old.parts, new.parts) == (
        "the code of 'typed_in.step' changed",
        "the constant 'typed_in.A' is no longer used",
        "the constant 'typed_in.B' is new",
    )


def test_a_difference_names_a_library_with_both_versions():
    old = [Part(kind="package", name="xgboost", digest="3.1.0")]
    new = [Part(kind="package", name="xgboost", digest="3.2.0")]

    assert difference(old, new) == ("package 'xgboost' changed from 3.1.0 to 3.2.0",)


def test_a_difference_of_two_closures_that_swapped_places_is_not_empty():
    text = (
        "def make(n):\n    def inner(x):\n        return x * 2 + n\n    return inner\n"
        "one, two = make({}), make({})\ndef step(x):\n    return one(two(x))\n"
    )
    old, new = (identify(defined(text.format(*order))) for order in ((1, 2), (2, 1)))

    assert key(old).digest != key(new).digest
    assert difference(old.parts, new.parts) == ("the way the reached code fits together changed",)


def test_a_large_value_is_shown_as_a_digest():
    one, other = (
        identify(defined(f"A = list(range({n}))\ndef step(x):\n    return A\n")) for n in (500, 501)
    )

    assert difference(one.parts, other.parts) == ("the constant 'typed_in.A' changed",)


def test_nothing_differs_between_a_key_and_itself():
    assert difference(CODE.parts, CODE.parts) == ()


# -- whose code ---------------------------------------------------------------------------------


def test_code_below_a_root_is_followed_even_where_packages_are_installed(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "weirlib-1.0.dist-info").mkdir(parents=True)
    (site / "weirlib-1.0.dist-info" / "METADATA").write_text("Name: weirlib\nVersion: 1.0\n")
    (site / "weirlib-1.0.dist-info" / "top_level.txt").write_text("weirlib\n")
    (site / "weirlib").mkdir()
    (site / "weirlib" / "__init__.py").write_text("def step(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(site))
    import weirlib

    installed = identify(weirlib.step)
    followed = identify(weirlib.step, roots=[site / "weirlib"])

    assert [p.name for p in installed.parts if p.kind == "package"] == ["weirlib"]
    assert [p.name for p in followed.parts if p.kind == "code"] == ["structure", "weirlib.step"]


@pytest.mark.parametrize("module", ["operators", "features", "serving", "flows"])
def test_the_repository_s_own_packages_are_first_party(module):
    from headrace.identity.origins import FIRST_PARTY, of_module_name

    assert of_module_name(module, ()) == FIRST_PARTY


def test_the_kernel_is_one_package():
    from headrace.identity.origins import KERNEL, of_path

    here = Path(sys.modules["headrace.identity"].__file__ or "")

    assert of_path(str(here), ()) == KERNEL


def test_a_memo_takes_the_roots_of_its_plan_and_no_others():
    memo = Memo()
    identify(plain, roots=[Path("somewhere")], memo=memo)

    with pytest.raises(DefinitionError) as caught:
        identify(plain, roots=[Path("elsewhere")], memo=memo)

    assert str(caught.value) == (
        "The memo has read code with roots ['somewhere'], not ['elsewhere'].\n"
        "  Fix: Use one memo for each plan, and the same roots throughout."
    )


def test_a_compiled_extension_of_the_user_s_leaves_a_function_without_a_key(tmp_path, monkeypatch):
    compiled = next(
        Path(spec.origin)
        for name in ("_heapq", "_bisect", "_json", "_csv", "_queue")
        if (spec := importlib.util.find_spec(name)) and str(spec.origin).endswith(".so")
    )
    (tmp_path / "own_code").mkdir()
    (tmp_path / "own_code" / "__init__.py").touch()
    shutil.copy(compiled, tmp_path / "own_code")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"own_code.{compiled.name.partition('.')[0]}"
    module = importlib.import_module(name)
    function = next(v for v in vars(module).values() if isinstance(v, types.BuiltinFunctionType))

    code = identify(defined("def step(x):\n    return compiled(x)\n", compiled=function))

    assert len(code.unresolved) == 1
    assert code.unresolved[0].endswith("which is compiled, not Python.")


PRINTED = """
import sys, tempfile, warnings
from pathlib import Path
from benchmarks._identity_corpus import values, surroundings, routes
from benchmarks._identity_corpus.edit import judge
warnings.simplefilter("ignore")
edits = [*values.edits()][::6] + [*surroundings.edits()][::9] + [*routes.edits()][::97]
with tempfile.TemporaryDirectory() as folder:
    for at, edit in enumerate(edits):
        print(judge(edit, Path(folder, str(at))).before.digest)
"""


def test_a_key_is_the_same_in_every_process_whatever_the_hash_seed():
    answers = [
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert len(answers[0].split()) > 50
    assert answers[0] == answers[1]


def kernel_digest(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "sluice").mkdir(parents=True)
    (folder / "sluice" / "__init__.py").write_text(text)
    with monkeypatch.context() as context:
        context.syspath_prepend(str(folder))
        kernel._module.cache_clear()
        kernel.reach.cache_clear()
        return kernel.reach(frozenset({"sluice"})).version


def test_the_kernel_s_part_changes_with_its_code_and_not_with_its_docstrings(tmp_path, monkeypatch):
    text = "'A module.'\ndef f(x):\n    'A function.'\n    return x + 1\n"

    before = kernel_digest(tmp_path / "a", text, monkeypatch)
    documented = kernel_digest(tmp_path / "b", "\n" + text.replace("'A ", "'The "), monkeypatch)
    changed = kernel_digest(tmp_path / "c", text.replace("+ 1", "+ 2"), monkeypatch)

    assert documented == before
    assert changed != before


def test_the_columns_of_a_replaced_input_are_not_told_as_a_second_change():
    from headrace.identity import Part, difference

    def parts(content: str, columns: str) -> list[Part]:
        return [
            Part(kind="input", name="input train", digest=content),
            Part(kind="schema", name="schema train", digest=columns),
        ]

    assert difference(parts("a", "x"), parts("b", "y")) == ("input 'train' changed",)
    assert difference(parts("a", "x"), parts("a", "y")) == ("the schema of 'train' changed",)
