"""A run in which everything is known imports no engine: who starts it waits for nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from headrace.settings import inherited_environment

ENGINES = {
    "duckdb", "fastapi", "feast", "great_expectations", "matplotlib", "mlflow", "onnx",
    "onnxruntime", "pandas", "prefect", "pyarrow", "ray", "scipy", "sklearn", "torch", "xgboost",
}  # fmt: skip
FLOW = dedent(
    '''
    """A flow about pears."""

    from __future__ import annotations

    from pathlib import Path

    from headrace import Report, Table, flow, operator
    from operators.ingest import read_csv


    @operator()
    def count(pears: Table) -> Report:
        """Count pears."""
        return Report.of({"passed": True, "pears": len(pears.frame())})


    @operator(effect=True)
    def tell(counted: Report) -> Report:
        """Tell how many there are."""
        Path("told").write_text(str(counted.document["pears"]))
        return Report.of({"passed": True})


    @flow(grants=["file:*"])
    def pears(*, path: str = "pears.csv") -> Report:
        """Count pears and tell."""
        counted = count(read_csv(path=path))
        tell(counted)
        return counted
    '''
)
COMMAND = dedent(
    """
    import json, os, sys

    import flows._command.main as command

    def leaving(self):
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
        os._exit(self.code)

    command._Leaving.__call__ = leaving
    sys.argv = ["headrace", "run", "--local", "pears", "--json"]
    command.main()
    """
)


def test_a_run_that_reuses_everything_imports_no_engine(tmp_path: Path) -> None:
    package = tmp_path / "orchard"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "fruit.py").write_text(FLOW, encoding="utf-8")
    (tmp_path / "headrace.toml").write_text('roots = ["orchard"]\n', encoding="utf-8")
    (tmp_path / "pears.csv").write_text("grams\n160\n180\n", encoding="utf-8")
    (tmp_path / "command.py").write_text(COMMAND, encoding="utf-8")
    environment = {
        name: value
        for name, value in inherited_environment().items()
        if not name.startswith("HEADRACE_")
    }

    def run() -> tuple[list[str], set[str]]:
        done = subprocess.run(
            [sys.executable, "command.py"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (tmp_path / "told").unlink()
        states = [node["state"] for node in json.loads(done.stdout)["nodes"]]
        return states, set(json.loads(done.stderr.splitlines()[-1]))

    first_states, first_modules = run()
    states, modules = run()

    assert first_states == ["executed", "executed", "executed"]
    assert {"pyarrow", "pandas"} <= first_modules
    assert states == ["cached", "cached", "executed"]
    assert modules & ENGINES == set()
