"""This module finds who meets a changed column outside of its flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.plan.columns import unfitting_columns

if TYPE_CHECKING:
    from features.view import FeatureView
    from flows._catalog import AnyFlow
    from headrace.models import ModelCard
    from headrace.plan import Plan
    from headrace.plan.evolution import NodeChange

_ROUND = "flows.label_round"
# what they read of a loop's pool, a round of it reads too
_READ_THE_SAME = frozenset({"flows.label_collect", "flows.label_rest"})


@dataclass(frozen=True, kw_only=True)
class Other:
    """This is somebody outside of the flow who meets a changed column.

    Args:
        what: "flow", "view", "model" or "endpoint".
        name: Its name, as one would ask for it.
        said: What it has to do with the column.
        breaks: Whether it cannot take the column as it is now.
    """

    what: str
    name: str
    said: str
    breaks: bool = False


@dataclass(frozen=True, kw_only=True)
class Affected:
    """These are all who meet a changed column outside of the flow."""

    others: tuple[Other, ...] = ()

    @property
    def breaking(self) -> bool:
        """Whether one of them cannot take it."""
        return any(other.breaks for other in self.others)

    def lines(self) -> Iterator[str]:
        """Yield one line for each."""
        for other in self.others:
            yield f"{other.what} '{other.name}' {other.said}"

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON-like data, by what they are."""
        return {
            f"{what}s": [
                {"name": o.name, "said": o.said, "breaks": o.breaks}
                for o in self.others
                if o.what == what
            ]
            for what in ("flow", "view", "model", "endpoint")
        }


def affected_by(plan: Plan, changes: Sequence[NodeChange]) -> list[Affected]:
    """Return for each change who meets it outside of the flow."""
    plans = list(_other_plans(plan.flow))
    views, cards, routes = _views(), _cards(), _routes()
    found = []
    for change in changes:
        others = [*_flows(plan, change, plans)]
        met = [*_met_views(plan, change, views)]
        others += met
        named = {view.name for view in met}
        models = [*_models(change, named, cards)]
        others += models
        others += _endpoints({m.name: m for m in models}, routes)
        found.append(Affected(others=tuple(others)))
    return found


def _other_plans(flow: str) -> Iterator[tuple[str, Plan | str]]:
    """Yield the other flows with their plans by default, or why there is none."""
    from flows._catalog import find_flows

    try:
        flows = find_flows()
    except HeadraceError as error:
        yield "?", f"could not be looked for: {error.problem}"
        return
    for name, other in flows.items():
        if name == flow:
            continue
        if other.module == _ROUND:
            yield from _plans_of_loops(other)
            continue
        if other.module in _READ_THE_SAME:
            continue
        needed = [n for n, f in other.parameters.model.model_fields.items() if f.is_required()]
        if needed:
            yield name, f"was not looked at: it needs {', '.join(f'-p {n}=…' for n in needed)}"
            continue
        try:
            yield name, other.plan_with({})
        except HeadraceError as error:
            yield name, f"was not looked at: {error.problem}"


def _plans_of_loops(label_round: AnyFlow) -> Iterator[tuple[str, Plan | str]]:
    """Yield the plan of a round of each labeling loop, which reads the loop's pool."""
    from flows._labeling.catalog import find_loops

    for loop in find_loops():
        name = f"{label_round.name} -p loop={loop}"
        try:
            yield name, label_round.plan_with({"loop": loop})
        except HeadraceError as error:
            yield name, f"was not looked at: {error.problem}"


def _flows(
    plan: Plan, found: NodeChange, plans: Sequence[tuple[str, Plan | str]]
) -> Iterator[Other]:
    operator = plan.node(found.ref.node).operator
    for name, other in plans:
        if isinstance(other, str):
            yield Other(what="flow", name=name, said=other)
            continue
        uses = [
            node.path
            for node in other.nodes
            if (node.operator is not None and node.operator is operator)
            or any(
                symbol.schema is not None and symbol.schema.name == found.now.name
                for symbol in node.outputs.values()
            )
        ]
        if not uses:
            continue
        about = [p for p in other.problems if f"'{found.change.column}'" in p.problem]
        problem = f", and cannot run: {about[0].problem}" if about else ""
        yield Other(
            what="flow", name=name, said=f"has it too, in {uses[0]}{problem}", breaks=bool(about)
        )


def _views() -> tuple[FeatureView, ...]:
    from features.catalog import catalog

    try:
        return catalog().views
    except HeadraceError:
        return ()  # two views of a name: `headrace` says so where views are asked for


def _met_views(plan: Plan, found: NodeChange, views: Sequence[FeatureView]) -> Iterator[Other]:
    from features.view import FeatureView

    if found.change.sort == "added":
        return  # a view that is computed already does without it
    met = {reader.node for reader in found.readers}
    used = [v for n in plan.nodes if n.path in met for v in n.parameters.values()]
    named = {
        v.name: v for v in views if v.source_schema.name in (found.before.name, found.now.name)
    }
    named |= {v.name: v for v in used if isinstance(v, FeatureView)}
    for name, view in sorted(named.items()):
        source = view.source_schema
        if found.change.column not in source:
            if found.change.now is None and source.name == found.now.name:
                said = f"reads '{source.name}'; see that it does without the column"
                yield Other(what="view", name=name, said=said)
            continue
        wrong = unfitting_columns(source.keeping([found.change.column]), found.now, f"'{name}'")
        breaks = next((w.problem for w in wrong), None)
        said = "is computed from it" if breaks is None else f"cannot be computed: {breaks}"
        yield Other(what="view", name=name, said=said, breaks=breaks is not None)


def _cards() -> dict[str, ModelCard]:
    """Return the cards of the versions that were registered here; no server is asked."""
    from serving.bundles import card_of, known_versions

    found = {}
    for version in known_versions():
        try:
            found[version] = card_of(version)
        except HeadraceError:
            continue  # a damaged bundle says so where it is to answer
    return found


def _models(found: NodeChange, views: set[str], cards: dict[str, ModelCard]) -> Iterator[Other]:
    change = found.change
    column = change.was or change.now
    if column is None or change.was is None:
        return  # nobody was trained on a column that is new
    for version, card in cards.items():
        takes = any(f.name == column.name and f.source == column.source for f in card.features)
        through = sorted({f.source for f in card.features if f.source in views} - {None})
        if takes or card.label == column.name:
            role = "its label" if card.label == column.name else "it"
            broken = change.breaks_models()
            said = f"was trained on {role}" + (" as it was; train it again" if broken else "")
            yield Other(what="model", name=version, said=said, breaks=broken)
        elif through:
            said = f"takes features of view '{through[0]}'"
            yield Other(what="model", name=version, said=said)


def _routes() -> dict[str, tuple[str, str | None]]:
    """Return each endpoint with its champion and challenger."""
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    routes = {name: endpoints.route(name) for name in endpoints.names()}
    return {name: (route.champion, route.challenger) for name, route in routes.items()}


def _endpoints(
    models: dict[str, Other], routes: dict[str, tuple[str, str | None]]
) -> Iterator[Other]:
    for name, (champion, challenger) in routes.items():
        for version, does in ((champion, "answers with"), (challenger, "compares")):
            if version in models:
                broken = models[version].breaks
                yield Other(
                    what="endpoint",
                    name=name,
                    said=f"{does} {version}, which {models[version].said}",
                    breaks=broken,
                )
