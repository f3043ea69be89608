"""This module computes the on-demand features of a request, into its row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from features._on_demand_values import ReadyFunction, as_given
from features.on_demand_call import OnDemandCall
from headrace.clock import from_us
from headrace.errors import DataError
from serving._request_errors import RequestError
from serving._requests import Input


class Computing:
    """This computes one on-demand view for the rows of one routing table.

    Args:
        call: What is to be called.
        function: The function, which has been found to be what was deployed.
        inputs: The inputs of the row, in its order.
        names: The input that each of the call's arguments is, by the argument's name.
    """

    def __init__(
        self,
        call: OnDemandCall,
        function: ReadyFunction,
        inputs: Sequence[Input],
        names: dict[str, str],
    ) -> None:
        places = {each.name: place for place, each in enumerate(inputs)}
        own = [each.name for each in inputs if each.computed and each.source == call.view]
        self.view = call.view
        self.features = frozenset(own)
        self.only = frozenset(each.name for each in inputs if call.view in each.only_for)
        self.computed = self.failed = 0
        self._function = function
        self._outputs = tuple((name, places[name]) for name in own)
        self._arguments = tuple(
            (a.name, None if a.is_moment else places[names[a.name]], a.dtype)
            for a in call.arguments
        )

    def fill(self, row: list[Any], given: Collection[str], at_us: int) -> None:
        """Compute the features of a row that the request does not give.

        Args:
            row: The values of the request and what was looked up, in the order of the inputs.
            given: The names of what the request gives.
            at_us: The moment of the decision, in microseconds since 1970.

        Raises:
            RequestError: They cannot be computed; it is counted.
        """
        values = {
            name: [from_us(at_us) if place is None else as_given(row[place], dtype)]
            for name, place, dtype in self._arguments
        }
        try:
            made = self._function(values, 1)
        except DataError as error:
            self.failed += 1
            raise RequestError.on_demand_failed(self.view, error) from error
        self.computed += 1
        for name, place in self._outputs:
            if name not in given:
                row[place] = made[name][0]
