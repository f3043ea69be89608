"""This package makes exact-cache keys: two nodes with one key compute the same thing.

    memo = Memo(roots)                                    # one for each plan
    code = identify(label_late, memo=memo)                # what the operator is made of
    key = key_of(code, schemas={}, parameters={"above": 15.0}, inputs={"flights": digest}, seed=7,
                 memo=memo)
    key.digest or key.unresolved                          # a digest, or why there is none
    difference(earlier.parts, key.parts)                  # "parameter 'above' changed from 15.0 …"

`analysis` reads code objects, `functions`, `classes` and `values` join them with what names stand
for, `origins` says whose code something is, `graph` sums it up, `keys` makes the key.
"""

from __future__ import annotations

from headrace.identity.keys import identify, key_of
from headrace.identity.memo import Memo
from headrace.identity.parts import CodeIdentity, Key, Part, difference

__all__ = ["CodeIdentity", "Key", "Memo", "Part", "difference", "identify", "key_of"]
