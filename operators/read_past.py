"""These operators bring back what an earlier run made, so that a flow can begin where it ended.

`read_labels(artifact="latest:flight_delay/label_by_outcome.labels")` takes the newest there is when
the flow is planned; the run then reads exactly that one, and its digest is part of the key.
"""

from __future__ import annotations

from typing import Any

from headrace import Labels, Table, operator
from operators._past import PastArtifact, past_rows, past_schema, reads, rows_of


@operator(reads=reads, produces=past_schema, check=past_rows)
def read_table(*, artifact: PastArtifact) -> Table[Any]:
    """Read a table that an earlier run made.

    Args:
        artifact: "latest:<flow>/<node>", "run:<id>/<node>" or "artifact:<digest>".

    Raises:
        UnknownNameError: There is no such artifact.
        DamagedArtifactError: What is stored is not what was written.
    """
    found = rows_of(artifact)
    return Table.of(found.arrow(), schema=found.schema)


@operator(reads=reads, produces=past_schema, check=past_rows)
def read_labels(*, artifact: PastArtifact) -> Labels[Any]:
    """Read labels that an earlier run made.

    Args:
        artifact: "latest:<flow>/<node>", "run:<id>/<node>" or "artifact:<digest>".

    Raises:
        UnknownNameError: There is no such artifact.
        DamagedArtifactError: What is stored is not what was written.
    """
    found = rows_of(artifact)
    return Labels.of(found.arrow(), schema=found.schema)
