"""This module says how an endpoint is served: by how many processes, and where it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from serving._declaration_errors import explained

if TYPE_CHECKING:
    from serving.lane.table import Hop


class Placement(BaseModel):
    """This is how an endpoint is served.

    Args:
        replicas: Processes that answer, at least; with two of them one may die unnoticed.
        most_replicas: Processes at most, as load asks for them; None for no more than `replicas`.
        shared: Whether it is asked rarely: then it is in one process with other such endpoints,
            and its models are loaded when it is asked.
        gpus: GPUs for scoring, a fraction shares one. Above 0 the models are scored in a process
            of their own, to which the lane passes rows.
        cpus: Cores that Ray sets aside for such a process; logical ones.
        memory_mb: Memory likewise, in megabytes; above 0 also gives models such a process.
        scorers: How many such processes.

    Raises:
        ParameterError: Names every unknown, missing and wrong field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    replicas: int = Field(default=1, ge=1, le=64, description="a whole number from 1 to 64")
    most_replicas: int | None = Field(
        default=None, ge=1, le=64, description="a whole number from 1 to 64, or null"
    )
    shared: bool = Field(default=False, description="true or false")
    gpus: float = Field(default=0.0, ge=0, le=64, description="a number from 0 to 64")
    cpus: float = Field(default=0.1, ge=0, le=256, description="a number from 0 to 256")
    memory_mb: int = Field(default=0, ge=0, description="a whole number of megabytes, from 0")
    scorers: int = Field(default=1, ge=1, le=64, description="a whole number from 1 to 64")

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise explained(type(self), "placement", error, fields) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Placement:
        if self.most_replicas is not None and self.most_replicas < self.replicas:
            raise PydanticCustomError("bounds", "`most_replicas` is less than `replicas`")
        if self.gpus > 1 and self.gpus % 1:
            raise PydanticCustomError("gpus", "`gpus` above 1 is a whole number")
        if self.shared and (self.replicas > 1 or self.most_replicas or self.hop is not None):
            raise PydanticCustomError(
                "shared", "a shared endpoint has one process and no scorers of its own"
            )
        return self

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most processes that answer."""
        return self.replicas, self.most_replicas or self.replicas

    @property
    def hop(self) -> Hop | None:
        """Where models are scored; None for the lane's own process."""
        from serving.lane.table import Hop

        if not self.gpus and not self.memory_mb and self.scorers == 1:
            return None
        return Hop(cpus=self.cpus, gpus=self.gpus, memory_mb=self.memory_mb, replicas=self.scorers)
