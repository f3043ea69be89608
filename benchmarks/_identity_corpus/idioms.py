"""This module edits statements and constants of the newer and the odder sort, as unified text."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, written

_ODD_STATEMENTS = r"""
@ match literal
  def step(x):
      match x:
-         case 1:
+         case 2:
              return 'a'
          case _:
              return 'b'
@ match class
  class P:
-     __match_args__ = ('a', 'b')
+     __match_args__ = ('b', 'a')
      def __init__(self):
          self.a, self.b = 1, 2
  def step(x):
      match P():
          case P(v, _):
              return v
@ match guard
  def step(x):
      match x:
-         case [a, *r] if a > 1:
+         case [a, *r] if a > 2:
              return r
      return 0
@ walrus
  def step(x):
-     if (n := x + 1) > 3:
+     if (n := x + 2) > 3:
          return n
      return 0
@ f-string spec
  def step(x):
-     return f'{x:.2f}'
+     return f'{x:.3f}'
@ f-string conversion
  def step(x):
-     return f'{x!r}'
+     return f'{x!s}'
@ f-string debug
  def step(x):
-     return f'{x=}'
+     return f'{x = }'
@ try except type
  def step(x):
      try:
          return int(x)
-     except ValueError:
+     except TypeError:
          return 0
@ except*
  def step(x):
      try:
          return x()
-     except* ValueError:
+     except* KeyError:
          pass
@ star unpack
  def step(x):
-     a, *b = x
+     *b, a = x
      return b
@ chained compare
  def step(x):
-     return 1 < x < 5
+     return 1 < x <= 5
@ global const nested tuple
- K = (1, (2, (3,)))
+ K = (1, (2, (4,)))
  def step(x):
      return K[1][1][0]
@ frozenset
- K = frozenset({1, 2})
+ K = frozenset({1, 3})
  def step(x):
      return x in K
@ frozenset order [same]
- K = frozenset({'a', 'b', 'c'})
+ K = frozenset({'c', 'b', 'a'})
  def step(x):
      return x in K
@ set literal in code [same]
  def step(x):
-     return x in {'a', 'b', 'c'}
+     return x in {'c', 'a', 'b'}
@ dict order const
- K = {'a': 1, 'b': 2}
+ K = {'b': 2, 'a': 1}
  def step(x):
      return list(K)
@ 1 vs 1.0
- K = 1
+ K = 1.0
  def step(x):
      return K / x
@ True vs 1
- K = True
+ K = 1
  def step(x):
      return str(K)
@ -0.0
- K = 0.0
+ K = -0.0
  def step(x):
      return K
@ unicode nfc nfd string
- K = 'é'
+ K = 'é'
  def step(x):
      return len(K)
@ unicode identifiers [same]
  def step(x):
-     é = 1
-     return é
+     é = 1
+     return é
@ bytes vs str
- K = 'a'
+ K = b'a'
  def step(x):
      return K
@ complex
- K = 1j
+ K = 2j
  def step(x):
      return K
@ ellipsis/range
- K = range(3)
+ K = range(4)
  def step(x):
      return sum(K)
@ slice const [uncached ok]
- K = slice(1, 3)
+ K = slice(1, 4)
  def step(x):
      return x[K]
@ decimal
  from decimal import Decimal
- K = Decimal('1.0')
+ K = Decimal('1.00')
  def step(x):
      return x * K
@ fraction
  from fractions import Fraction
- K = Fraction(1, 3)
+ K = Fraction(2, 3)
  def step(x):
      return x * K
@ timedelta
  from datetime import timedelta
- K = timedelta(hours=1)
+ K = timedelta(hours=2)
  def step(x):
      return x * K
@ zoneinfo [uncached ok]
  from zoneinfo import ZoneInfo
- K = ZoneInfo('Europe/Berlin')
+ K = ZoneInfo('Europe/London')
  def step(x):
      return x.astimezone(K)
@ path
  from pathlib import Path
- K = Path('a')
+ K = Path('b')
  def step(x):
      return K.name
@ module if
  import sys
- FAST = True
+ FAST = False
  if FAST:
      def h(x):
          return x + 1
  else:
      def h(x):
          return x + 2
  def step(x):
      return h(x)
@ module if untaken [same]
  FAST = True
  if FAST:
      def h(x):
          return x + 1
  else:
      def h(x):
-         return x + 2
+         return x + 3
  def step(x):
      return h(x)
@ redefined [same]
  def h(x):
-     return x + 1
+     return x + 9
  def h(x):
      return x + 2
  def step(x):
      return h(x)
@ conditional import
  try:
      from edited.nope import h
  except ImportError:
      def h(x):
-         return x + 1
+         return x + 2
  def step(x):
      return h(x)
"""


def edits() -> Iterator[Edit]:
    """Yield every edit of this module."""
    yield from written("odd statements", _ODD_STATEMENTS)
