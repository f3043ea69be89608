"""This module registers models, for people to find and for endpoints to answer with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace import Evaluation, Model, Report, SelectedModel, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, ParameterError
from headrace.recording import current_invocation
from operators.scoring import require_one_score
from serving._description import name_text, version_tags, version_text
from serving._registry_names import require_alias, require_name
from serving.bundles import keep_bundle
from serving.registry import About, Origin, Registry, Version


def _check_names(call: PlannedCall) -> Sequence[Finding]:
    """Refuse a name or alias while the flow is planned, not after the training."""
    checks: dict[str, Callable[[str], str]] = {"name": require_name, "alias": require_alias}
    findings = []
    for parameter, require in checks.items():
        value = call.parameters.get(parameter)
        if not isinstance(value, str):
            continue
        try:
            require(value)
        except ParameterError as error:
            findings.append(
                Finding(problem=error.problem, remedy=error.remedy, rule="registry name")
            )
    return findings


@operator(effect=True, check=_check_names)
def register(
    model: SelectedModel, evaluation: Evaluation, *, name: str, alias: str | None = "candidate"
) -> Report:
    """Register the selected model with its test figures, as a version in the model registry.

    The same model is one version, however often the flow runs: a repeat finds the version and sets
    its figures and alias again. The alias is "candidate" and not "champion", because registering
    says that a model may be looked at; that it may answer is for promotion to say, on evidence.

    Args:
        model: The model.
        evaluation: Its evaluation on the test set. One or two metrics become tags of the version;
            all of them, with intervals, stand in its description.
        name: Name in the registry; letters, digits, `_`, `-` and `.`.
        alias: What the version is for; it moves here from the version that had it. None sets none.

    Returns:
        name, version, uri, url, digest, alias, created (whether the version is new), passed; and
        the `runtime` that was measured to be fastest, with the figures of all.

    Raises:
        ParameterError: The name or alias is not allowed.
        DataError: The evaluation is of another model, or the written model does not answer as the
            trained one does.
        ServiceError: The MLflow server does not answer.
    """
    _refuse_another_models(evaluation, model)
    return _registered(model, evaluation, name, alias)


@operator(effect=True, check=_check_names)
def register_challenger(model: Model, *, name: str) -> Report:
    """Register a model that was not selected, so that it may challenge the one that answers.

    It has not met the test set and is not to: its version shows the figures of the validation set,
    and what it is worth it shows in shadow.

    Args:
        model: The model.
        name: Name in the registry; letters, digits, `_`, `-` and `.`.

    Returns:
        As of `register`; alias is null.

    Raises:
        ParameterError: The name is not allowed.
        DefinitionError: The model is a labeler, which no endpoint answers with.
        DataError: The written model does not answer as the trained one does.
        ServiceError: The MLflow server does not answer.
    """
    return _registered(model, None, name, None)


def _registered(
    model: Model, evaluation: Evaluation | None, name: str, alias: str | None
) -> Report:
    require_one_score(model.card)
    if alias is not None:
        require_alias(alias)
    registry = Registry()
    about = About(
        tags=version_tags(model, evaluation),
        text=version_text(model, evaluation),
        name_text=name_text(model),
    )
    version, created = registry.register(model, name=name, about=about, origin=_origin(name))
    if alias is not None and alias not in version.aliases:
        registry.set_alias(name, alias, version.version)
    runtime = keep_bundle(model, name=name, version=version.version).to_json()
    return Report.of(
        _described(version, alias) | {"created": created, "runtime": runtime, "passed": True}
    )


def _refuse_another_models(evaluation: Evaluation, model: Model) -> None:
    of = evaluation.document.get("model", model.digest)
    if of != model.digest:
        raise DataError(
            f"The evaluation is of the model {of[:12]}, not of {model.digest[:12]}, which is to be "
            "registered.",
            remedy="Evaluate the model that you register: evaluate(model, test).",
        )


def _described(version: Version, alias: str | None) -> dict[str, str | None]:
    return {
        "name": version.name,
        "version": version.version,
        "uri": version.uri,
        "url": version.url,
        "digest": version.digest,
        "alias": alias,
    }


def _origin(name: str) -> Origin:
    invocation = current_invocation()
    if invocation is None:
        return Origin(experiment=name)
    return Origin(
        experiment=invocation.flow,
        run=f"run:{invocation.run_id}",
        mlflow_run_id=invocation.mlflow_run_id,
    )
