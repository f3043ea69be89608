from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.errors import ParameterError, UnknownNameError
from headrace.settings import Settings, load_settings, settings, using_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project in which the process stands, with nothing set from outside."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "headrace.toml").touch()
    return tmp_path


def test_home_lies_beside_headrace_toml_and_all_state_lies_in_home(project: Path):
    read = load_settings()

    assert read.home == project / "var"
    assert read.store == str(project / "var" / "store")
    assert read.database_url == f"sqlite:///{project / 'var' / 'headrace.db'}"


def test_without_headrace_toml_home_is_in_the_users_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "headrace.toml").unlink()
    monkeypatch.setenv("HOME", str(project / "me"))

    assert load_settings().home == project / "me" / ".headrace"


def test_headrace_toml_is_found_from_a_folder_within_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "headrace.toml").write_text("prefect_port = 4301\n")
    (project / "deep" / "inside").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "inside")

    read = load_settings()

    assert (read.prefect_port, read.project) == (4301, project)


def test_the_environment_wins_over_the_file_and_the_call_over_both(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "headrace.toml").write_text('prefect_port = 1\nmlflow_port = 1\nactor = "file"\n')
    monkeypatch.setenv("HEADRACE_MLFLOW_PORT", "2")
    monkeypatch.setenv("HEADRACE_ACTOR", "environment")

    read = load_settings(actor="call")

    assert (read.prefect_port, read.mlflow_port, read.actor) == (1, 2, "call")


def test_an_empty_variable_counts_as_unset(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADRACE_PREFECT_PORT", "")

    assert load_settings().prefect_port == 4200


def test_paths_are_relative_to_the_file_there_and_to_the_working_directory_in_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "headrace.toml").write_text('home = "state"\nroots = ["flows", "more/flows"]\n')
    (project / "inside").mkdir()
    monkeypatch.chdir(project / "inside")

    from_file = load_settings()
    monkeypatch.setenv("HEADRACE_HOME", "here")
    monkeypatch.setenv("HEADRACE_ROOTS", "a" + os.pathsep + "b")
    from_environment = load_settings()

    assert from_file.home == project / "state"
    assert from_file.roots == (project / "flows", project / "more" / "flows")
    assert from_environment.home == project / "inside" / "here"
    assert from_environment.roots == (project / "inside" / "a", project / "inside" / "b")


def test_a_store_on_another_machine_is_left_as_it_is_written(project: Path):
    (project / "headrace.toml").write_text('store = "s3://bucket/store"\n')

    assert load_settings().store == "s3://bucket/store"


@pytest.mark.parametrize(
    ("changes", "address", "ours"),
    [
        pytest.param({}, "http://127.0.0.1:4200", True, id="default"),
        pytest.param({"prefect_port": 4305}, "http://127.0.0.1:4305", True, id="another port"),
        pytest.param({"prefect_url": "https://flows.test/api/"}, "https://flows.test", False,
                     id="somebody else's"),
    ],
)  # fmt: skip
def test_a_server_is_ours_unless_another_address_is_given(
    project: Path, changes: dict[str, object], address: str, ours: bool
):
    read = load_settings(**changes)

    assert (read.prefect_url, read.runs_prefect) == (address, ours)
    assert read.prefect_api_url == f"{address}/api"


def test_changes_hold_in_a_block_nest_and_are_undone(project: Path):
    with using_settings(home=project / "outer") as outer:
        with using_settings(actor="inner"):
            within = settings()
        after = settings()

    assert (within.home, within.actor) == (project / "outer", "inner")
    assert within.store == str(project / "outer" / "store")
    assert after is outer
    assert settings().home != project / "outer"


def test_a_child_process_has_the_settings_of_its_parent(project: Path):
    (project / "headrace.toml").write_text('prefect_port = 4306\nroots = ["one", "two"]\n')
    parent = load_settings(actor="someone", threads=3, mlflow_url="http://tracking.test")
    show = "from headrace.settings import settings; print(settings().model_dump_json())"
    elsewhere = project.parent

    child = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | parent.as_environment(),
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )

    assert child.stdout.strip() == parent.model_dump_json()


def test_limits_are_a_table_in_the_file_and_json_in_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "headrace.toml").write_text("[limits]\nwarehouse = 2\nlicence = 1\n")

    from_file = load_settings()
    in_call = load_settings(limits={"gateway": 3})
    monkeypatch.setenv("HEADRACE_LIMITS", '{"warehouse": 5}')
    from_environment = load_settings()

    assert from_file.limits == {"warehouse": 2, "licence": 1}
    assert in_call.limits == {"gateway": 3}
    assert from_environment.limits == {"warehouse": 5}


def test_a_child_process_has_the_limits_and_gpus_of_its_parent_and_no_others(project: Path):
    (project / "headrace.toml").write_text("gpus = 1\n[limits]\nwarehouse = 2\n")
    show = "from headrace.settings import settings; print(settings().limits, settings().gpus)"

    def child(parent: Settings) -> str:
        return subprocess.run(
            [sys.executable, "-c", show],
            env=os.environ | parent.as_environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert child(load_settings()) == "{'warehouse': 2} 1"
    assert child(load_settings(limits={}, gpus=0)) == "{} 0"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"warehouse": 0}', "'limits.warehouse' is 0: input should be greater than or equal to 1"),
        ('{"": 1}', "'limits' is '': string should have at least 1 character"),
        ("warehouse", "'limits' is 'warehouse': it is not valid JSON, such as {\"a\": 2}"),
        ("[1]", "'limits' is [1]: input should be a valid dictionary"),
    ],
)
def test_wrong_limits_are_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
):
    monkeypatch.setenv("HEADRACE_LIMITS", given)

    with pytest.raises(ParameterError) as caught:
        load_settings()

    assert str(caught.value) == (
        f"The setting {said}.\n  Fix: Correct it in the environment variable HEADRACE_LIMITS."
    )


def test_every_unknown_key_of_the_file_is_named_with_the_nearest_setting(project: Path):
    path = project / "headrace.toml"
    path.write_text('prefct_port = 1\nrots = ["flows"]\nhome = "var"\n')

    with pytest.raises(UnknownNameError) as caught:
        load_settings()

    assert str(caught.value) == (
        f"There is no setting 'prefct_port' in {path}. "
        "Did you mean 'prefect_port', 'prefect_host' or 'prefect_url'? "
        f"There is no setting 'rots' in {path}. Did you mean 'roots'?\n"
        f"  Fix: Correct or remove the name in {path}."
    )


def test_a_file_that_is_no_toml_is_refused_with_the_place(project: Path):
    path = project / "headrace.toml"
    path.write_text("home = \n")

    with pytest.raises(ParameterError) as caught:
        load_settings()

    assert str(caught.value) == (
        f"{path} is not valid TOML: invalid value (at line 1, column 8).\n"
        "  Fix: Correct the file, or remove it to use the defaults."
    )


def test_a_wrong_value_is_refused_with_the_place_it_came_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    path = project / "headrace.toml"
    path.write_text("threads = 0\n")
    with pytest.raises(ParameterError) as in_file:
        load_settings()
    with pytest.raises(ParameterError) as in_call:
        load_settings(threads="many")
    monkeypatch.setenv("HEADRACE_THREADS", "few")
    with pytest.raises(ParameterError) as in_environment:
        load_settings()

    assert str(in_file.value) == (
        "The setting 'threads' is 0: input should be greater than or equal to 1.\n"
        f"  Fix: Correct it in {path}."
    )
    assert str(in_call.value) == (
        "The setting 'threads' is 'many': input should be a valid integer, unable to parse string "
        "as an integer.\n  Fix: Correct it in the call."
    )
    assert str(in_environment.value) == (
        "The setting 'threads' is 'few': input should be a valid integer, unable to parse string "
        "as an integer.\n  Fix: Correct it in the environment variable HEADRACE_THREADS."
    )


def test_an_unknown_name_in_a_call_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        load_settings(treads=2)

    assert str(caught.value) == (
        "There is no setting 'treads'. Did you mean 'threads'?\n  Fix: Use the name of a setting."
    )
