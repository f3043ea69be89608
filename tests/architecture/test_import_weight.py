"""What an import costs: replicas, the command line and every flow run's process pay it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ENGINES = {
    "duckdb", "feast", "great_expectations", "matplotlib", "mlflow", "onnxruntime", "optuna",
    "pandas", "prefect", "pyarrow", "ray", "sklearn", "sqlalchemy", "torch", "xgboost",
}  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import headrace", id="import headrace"),
        pytest.param("import headrace.settings", id="the settings"),
        pytest.param("import flows._command.main", id="the command line"),
        pytest.param("import flows._services", id="the services"),
        pytest.param(
            "import sys; sys.argv = ['headrace', '--help']\n"
            "from flows._command.main import main\n"
            "try: main()\nexcept SystemExit: pass\n",
            id="headrace --help",
        ),
    ],
)
def test_pulls_no_engine(code):
    show = "\nimport json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"

    child = subprocess.run(
        [sys.executable, "-c", code + show], capture_output=True, text=True, check=True
    )

    loaded = set(json.loads(child.stdout.splitlines()[-1]))
    assert loaded & ENGINES == set()


def test_all_engines_are_installed_so_that_absence_proves_something():
    import importlib.util

    missing = {name for name in ENGINES - {"optuna"} if importlib.util.find_spec(name) is None}

    assert missing == set()
