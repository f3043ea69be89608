"""This module declares a labeling task: what raters see, how many answer an item, who may."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from headrace.labels.schema import LabelSchema
from headrace.labels.texts import WholeText

TASK_NAME = r"^[a-z][a-z0-9_]{0,63}$"
_Column = Annotated[WholeText, Field(min_length=1)]
_Rater = Annotated[WholeText, Field(min_length=1, max_length=64)]
_Share = Annotated[float, Field(ge=0, lt=1)]


class LabelTask(BaseModel):
    """This is what people are asked to label, again and again, in batches.

        NEWS = LabelTask(
            name="news_topic",
            labels=LabelSchema(choices=("business", "politics", "sport")),
            entity="document",
            show=("title", "text"),
        )

    Attributes:
        name: Name of the task, also in addresses.
        title: What raters read; the name by default.
        labels: What may be answered, and the guideline.
        entity: Column that says what an item is; a rater sees it only if `show` has it.
        show: Columns that raters see, in order; they get no others.
        media: Columns that hold the address of an image or a sound, to which of both; Label Studio
            shows them as such, our own page shows the address.
        overlap: How many raters answer each item.
        gold_share: Share of a batch that are items whose answer is known, mixed in unseen, to
            measure raters by; for batches that are given such items.
        suggest: Whether raters see what a model or rules suggest.
        hide_suggestions: Share of the showings of an item in which its suggestion is hidden, to
            measure how much suggestions sway raters.
        lease_seconds: How long an item waits for the rater who was given it, in seconds.
        raters: Names of those who may answer; None for everybody who is a rater.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=TASK_NAME)
    title: WholeText = Field(default="", max_length=200)
    labels: LabelSchema
    entity: _Column
    show: tuple[_Column, ...] = Field(min_length=1)
    media: dict[WholeText, Literal["image", "audio"]] = Field(default_factory=dict)
    overlap: int = Field(default=2, ge=1, le=100)
    gold_share: _Share = 0.05
    suggest: bool = True
    hide_suggestions: Annotated[float, Field(ge=0, le=1)] = 0.1
    lease_seconds: float = Field(default=600.0, ge=1, le=86_400)
    raters: tuple[_Rater, ...] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        twice = sorted({name for name in self.show if self.show.count(name) > 1})
        if twice:
            raise PydanticCustomError(
                "show", "The column '{one}' is shown twice", {"one": twice[0]}
            )
        unseen = sorted(self.media.keys() - set(self.show))
        if unseen:
            raise PydanticCustomError(
                "media", "The column '{one}' is not shown", {"one": unseen[0]}
            )
        if self.raters is not None and len(set(self.raters)) < self.overlap:
            raise PydanticCustomError(
                "raters",
                "{overlap} raters are to answer each item, but only {given} may answer at all",
                {"overlap": self.overlap, "given": len(set(self.raters))},
            )
        return self

    @property
    def heading(self) -> str:
        """What raters read: the title, else the name."""
        return self.title or self.name

    def document(self) -> dict[str, Any]:
        """Return the task as JSON-like data."""
        return self.model_dump(mode="json")
