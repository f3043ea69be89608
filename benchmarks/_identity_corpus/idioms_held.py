"""This module edits objects that constants hold, and functions that were changed once defined."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, written

_HELD_OBJECTS = r"""
@ ChainMap [uncached ok]
  from collections import ChainMap
- K = ChainMap({'a': 1}, {'a': 2})
+ K = ChainMap({'a': 3}, {'a': 2})
  def step(x):
      return K['a']
@ MappingProxy
  from types import MappingProxyType
- K = MappingProxyType({'a': 1})
+ K = MappingProxyType({'a': 2})
  def step(x):
      return K['a']
@ SimpleNamespace
  from types import SimpleNamespace
- K = SimpleNamespace(a=1)
+ K = SimpleNamespace(a=2)
  def step(x):
      return K.a
@ numpy array const
  import numpy as np
- K = np.array([1, 2])
+ K = np.array([1, 3])
  def step(x):
      return K.sum()
@ numpy dtype
  import numpy as np
- K = np.array([1, 2], dtype='int32')
+ K = np.array([1, 2], dtype='int64')
  def step(x):
      return K.sum()
@ pandas index
  import pandas as pd
- K = pd.Series([1, 2], index=['a', 'b'])
+ K = pd.Series([1, 2], index=['b', 'a'])
  def step(x):
      return K['a']
@ regex
  import re
- K = re.compile('a+')
+ K = re.compile('a*')
  def step(x):
      return K.sub('', x)
@ struct [uncached ok]
  import struct
- K = struct.Struct('<i')
+ K = struct.Struct('>i')
  def step(x):
      return K.unpack(x)
@ string template [uncached ok]
  from string import Template
- K = Template('$a b')
+ K = Template('$a c')
  def step(x):
      return K.substitute(a=x)
@ itemgetter
  from operator import itemgetter
- K = itemgetter(1)
+ K = itemgetter(2)
  def step(x):
      return K(x)
@ kwdefaults
- def h(*, a=1):
+ def h(*, a=2):
      return a
  def step(x):
      return h()
@ mutable default mutated at import
  def h(a=[]):
      return a
- h.__defaults__[0].append(1)
+ h.__defaults__[0].append(2)
  def step(x):
      return h()
@ function attribute
  def h(x):
      return h.k
- h.k = 1
+ h.k = 2
  def step(x):
      return h(x)
@ code swapped
  def h(x):
      return 1
  def g(x):
-     return 2
+     return 3
  h.__code__ = g.__code__
  def step(x):
      return h(x)
@ closure cell list
  def mk():
-     k = [1]
+     k = [2]
      def h(x):
          return k
      return h
  h = mk()
  def step(x):
      return h(x)
@ nonlocal counter
  def mk(n):
      def h(x):
          nonlocal n
          n += 1
          return n
      return h
- h = mk(1)
+ h = mk(2)
  def step(x):
      return h(x)
@ two closures one cell
  def mk(a, b):
      return lambda x: a - b
- h = mk(1, 2)
+ h = mk(2, 1)
  def step(x):
      return h(x)
@ captured swapped
  def mk(a, b):
-     return lambda x: a - b
+     return lambda x: b - a
  h = mk(1, 2)
  def step(x):
      return h(x)
@ annotated runtime hints
  import typing
- def h(x: int):
+ def h(x: str):
      return x
  def step(x):
      return typing.get_type_hints(h)['x'](x)
@ annotations attr
- def h(x: int):
+ def h(x: str):
      return x
  def step(x):
      return h.__annotations__['x'](x)
@ qualname of class
- class A:
+ class B:
      pass
  def step(x):
-     return type(A()).__name__
+     return type(B()).__name__
@ hash seed helper [same]
  def step(x):
-     return sorted({3, 1, 2})
+     return sorted({1, 2, 3})
@ sql text
- SQL = '''select a
+ SQL = '''select b
  from t'''
  def step(x):
      return x.execute(SQL)
@ comment in sql
  def step(x):
-     return x.execute('select 1 -- a')
+     return x.execute('select 1 -- b')
"""


def edits() -> Iterator[Edit]:
    """Yield every edit of this module."""
    yield from written("held objects", _HELD_OBJECTS)
