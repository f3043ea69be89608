from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SNIPPET = """\
from headrace import Model, Schema, SelectedModel, TestSet, TrainSet, ValidationSet
from operators.evaluate import evaluate
from operators.select import select
from operators.train_xgboost import train_xgboost

def good(
    train: TrainSet[Schema], validation: ValidationSet[Schema], test: TestSet[Schema]
) -> None:
    model, report = select([train_xgboost(train, validation)], validation)
    evaluate(model, test, slices=["carrier"])

def bad(
    train: TrainSet[Schema], validation: ValidationSet[Schema], test: TestSet[Schema], model: Model
) -> None:
    train_xgboost(test, validation)
    train_xgboost(train, test)
    select([model], test)
    evaluate(model, test)
    evaluate(SelectedModel.chosen(model), validation)
    train_xgboost(train, validation, n_trees=3)
    train_xgboost(train, validation, class_weight="blanced")
"""


def test_mypy_refuses_a_test_set_for_training_and_a_model_that_was_not_selected(tmp_path):
    snippet = tmp_path / "snippet.py"
    snippet.write_text(_SNIPPET)
    root = Path(__file__).parents[3]

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(snippet)],
        check=False,
        capture_output=True,
        text=True,
        cwd=root,
    )

    found = [line.split(": ", 2) for line in done.stdout.splitlines() if "snippet.py" in line]
    errors = {int(where.rsplit(":", 1)[1]): said for where, kind, said in found if kind == "error"}
    assert sorted(errors) == [15, 16, 17, 18, 19, 20, 21]
    assert '"TestSet[Schema]"; expected "TrainSet' in errors[15]
    assert '"Model"; expected "SelectedModel"' in errors[18]
    assert 'Unexpected keyword argument "n_trees"' in errors[20]
