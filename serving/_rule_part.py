"""This module says what the parts of a rule have in common: closed, typed, and told as forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError

PART_CONFIG = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def only_a_list(value: Any) -> Any:
    """Return a list or tuple as it is; a set has no order, and so would have no hash.

    Raises:
        PydanticCustomError: It is something else.
    """
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("no_list", "it is no list")
    return value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("twice", "a name is there twice")
    return names


Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
Names: TypeAlias = Annotated[
    tuple[Name, ...],
    Field(strict=False),
    BeforeValidator(only_a_list),
    AfterValidator(_distinct),
]


class _MadeDirectly(type(BaseModel)):  # type: ignore[misc]
    """This makes `Ramp(...)` tell what is wrong as a rule does.

    Within a rule pydantic makes parts by itself and does not come by here, so that the rule can say
    all that is wrong at once, and where.
    """

    def __call__(cls, **fields: Any) -> Any:
        from serving._rule_errors import wrong_fields

        try:
            return super().__call__(**fields)
        except ValidationError as error:
            made: Any = cls
            raise wrong_fields(made, said_part(made), error) from None


if TYPE_CHECKING:  # type checkers keep the signatures that the fields make
    _Told = BaseModel
else:

    class _Told(BaseModel, metaclass=_MadeDirectly):
        """This is a model whose errors are a rule's."""


class Part(_Told):
    """This is a part of a rule: frozen, and without fields that nobody knows."""

    model_config = PART_CONFIG

    def model_post_init(self, context: Any, /) -> None:
        """Forget which fields were given: what is equal is one value, also to the cache."""
        forget_spelling(self)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return told_schema(cls, core_schema, handler)


def forget_spelling(model: BaseModel) -> None:
    """Let all fields of a model count as given."""
    object.__setattr__(model, "__pydantic_fields_set__", set(type(model).model_fields))


def said_part(part: type[BaseModel]) -> str:
    """Return what people call a part, such as "The ramp"."""
    metric = part.model_fields.get("metric")
    if metric is not None:
        return f"The guardrail '{metric.default}'"
    return f"The {part.__name__.lower()}"


def told_schema(
    model: type[BaseModel], core_schema: CoreSchema, handler: GetJsonSchemaHandler
) -> dict[str, Any]:
    """Return the JSON schema of a model, with texts for people: forms and editors show them.

    Args:
        model: The class; its docstring's first line and `Args` are the texts.
        core_schema: As pydantic gives it.
        handler: Likewise.
    """
    from headrace.flow_parameters import described_arguments

    made = handler(core_schema)
    own = handler.resolve_ref_schema(made)
    document = model.__doc__ or ""
    own["description"] = document.strip().split("\n", 1)[0]
    texts: Mapping[str, str] = described_arguments(document)
    for name, shown in own.get("properties", {}).items():
        expected = model.model_fields[name].description
        said = texts.get(name, "").replace("`", "'")
        shown["description"] = f"{said} Expected: {expected}.".strip()
    if "metric" in own.get("properties", {}) and "metric" not in own.setdefault("required", []):
        own["required"] = ["metric", *own["required"]]  # which part it is, is told by it alone
    return made
