"""This operator puts an on-demand view on offer: what it promises, and Feast computes it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from features._files import atomically, locked
from features._published import Published, folder_of, published, registry_file
from features._versions import features_folder, number_of, version_of
from features.on_demand import Needed, OnDemandView
from features.on_demand_call import OnDemandCall, call_of
from features.on_demand_names import OnDemandOrName
from headrace import Report, operator
from headrace.errors import DataError, DefinitionError, StoreError, did_you_mean
from headrace.schemas import TableSchema


@dataclass(frozen=True, kw_only=True)
class PublishedOnDemand:
    """This is what is published of an on-demand view.

    Args:
        view: Name of the view.
        version: Digest of what its values mean.
        number: Number of that version, 0 for the first.
        code: Digest of its function, with the versions of all that it uses.
        needs: The version of each view that it needs.
        published_at: When it was published, ISO 8601 in UTC.
        definition: What the view promised then, as `OnDemandView.definition` says it.
    """

    view: str
    version: str
    number: int
    code: str
    needs: dict[str, str]
    published_at: str
    definition: dict[str, Any]


@operator(effect=True, named_by="view")
def publish_on_demand(needed: list[Report], *, view: OnDemandOrName) -> Report:
    """Publish an on-demand view, so that others find it and Feast computes it.

    Args:
        needed: What `publish` reported of the views that it needs, so that they are there.
        view: The view, or its name in the catalogue.

    Returns:
        What is published: view, version, number, code, needs, and whether this call `changed`
        anything.

    Raises:
        DataError: A view that it needs is not published, or lacks the feature.
        DefinitionError: Its function cannot be imported by other processes.
        StoreError: It cannot be written.
    """
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    record, changed = register_on_demand(view)
    return Report.of({"passed": True, "changed": changed, **asdict(record)})


def register_on_demand(view: OnDemandView) -> tuple[PublishedOnDemand, bool]:
    """Register an on-demand view in Feast; return what is published, and whether it changed.

    Raises:
        HeadraceError: As `publish_on_demand`.
    """
    from headrace.clock import current_clock
    from headrace.settings import settings

    needs = {need.view: _needed(view, need) for need in view.needs}
    call = call_of(view, settings().roots)
    with locked(features_folder()):
        record = PublishedOnDemand(
            view=view.name,
            version=version_of(_as_versioned(view)),
            number=number_of(_as_versioned(view)),
            code=call.code,
            needs={name: each.version for name, each in needs.items()},
            published_at=current_clock().now().isoformat(),
            definition=json.loads(json.dumps(view.definition())),
        )
        known = _known(view.name)
        if known is not None and _same(known, record) and registry_file().is_file():
            return known, False
        _register(view, call, record, needs)
        folder_of(view.name).mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(record), indent=1)
        atomically(_file(view.name), lambda path: path.write_text(text, "utf-8"))
    return record, True


def published_on_demand(view: str) -> PublishedOnDemand | None:
    """Return what is published of an on-demand view, None when nothing is; without Feast.

    Raises:
        StoreError: The record cannot be read.
    """
    file = _file(view)
    if not file.is_file():
        return None
    try:
        return PublishedOnDemand(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"The record of what is published of on-demand view '{view}' cannot be read: {file}.",
            remedy="Remove the file and publish the view again.",
        ) from error


def _needed(view: OnDemandView, need: Needed) -> Published:
    record = published(need.view)
    if record is None:
        raise DataError(
            f"On-demand view '{view.name}' needs view '{need.view}', of which nothing is "
            "published.",
            remedy="Publish it before, and give its report to `needed`.",
        )
    features = [c.name for c in _schema(record).with_role("feature")]
    if need.column not in features:
        raise DataError(
            f"On-demand view '{view.name}' needs '{need.reference}', which what is published of "
            f"that view does not have.{did_you_mean(need.column, features)}",
            remedy="Publish the view as it is now, or name a feature that it has.",
        )
    return record


def _register(
    view: OnDemandView, call: OnDemandCall, record: PublishedOnDemand, needs: dict[str, Published]
) -> None:
    from features.store import feature_store, number_in_feast
    from headrace.settings import settings

    store = feature_store()
    from features._feast_on_demand import on_demand_objects

    tags = {
        "code": record.code,
        "stage": view.stage,
        **({"replaced_by": view.replaced_by} if view.replaced_by else {}),
        **{tag: "true" for tag in view.tags},
    }
    objects = on_demand_objects(
        view,
        {name: store.get_feature_view(name) for name in needs},
        call=call,
        dtypes=_dtypes(call.arguments, needs),
        roots=tuple(settings().roots),
        version=record.version,
        tags=tags,
    )
    number_in_feast(objects[0], record.number, store)
    with warnings.catch_warnings():  # that such views are experimental, and slow with many rows
        warnings.filterwarnings("ignore", "On demand feature view is an exp", RuntimeWarning)
        store.apply(objects)


def _dtypes(arguments: Sequence[Any], needs: dict[str, Published]) -> dict[str, str]:
    return {
        argument.name: str(
            argument.dtype
            if argument.view is None
            else _schema(needs[argument.view]).column(argument.column).dtype
        )
        for argument in arguments
    }


def _schema(record: Published) -> TableSchema:
    return TableSchema.from_json(record.definition["schema"])


def _as_versioned(view: OnDemandView) -> Any:
    return view  # it has all that a version is told by: name, definition and function


def _known(view: str) -> PublishedOnDemand | None:
    try:
        return published_on_demand(view)
    except StoreError:
        return None  # it is written anew


def _same(one: PublishedOnDemand, other: PublishedOnDemand) -> bool:
    return {**asdict(one), "published_at": ""} == {**asdict(other), "published_at": ""}


def _file(view: str) -> Any:
    return folder_of(view) / "on_demand.json"
