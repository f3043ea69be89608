"""This module edits classes with hooks, and helpers that are not plain functions."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, written

_CLASS_HOOKS = r"""
@ init_subclass
  class B:
      r = {}
      def __init_subclass__(cls, **k):
-         cls.tag = 'a'
+         cls.tag = 'b'
  class A(B):
      pass
  def step(x):
      return A.tag
@ init_subclass kw
  class B:
      def __init_subclass__(cls, tag, **k):
          cls.tag = tag
- class A(B, tag=1):
+ class A(B, tag=2):
      pass
  def step(x):
      return A.tag
@ descriptor get
  class D:
      def __get__(self, o, t):
-         return 1
+         return 2
  class A:
      d = D()
  def step(x):
      return A().d
@ descriptor state
  class D:
      def __init__(self, v):
          self.v = v
      def __get__(self, o, t):
          return self.v
  class A:
-     d = D(1)
+     d = D(2)
  def step(x):
      return A().d
@ set_name
  class D:
      def __set_name__(self, o, n):
-         self.n = n + 'x'
+         self.n = n + 'y'
      def __get__(self, o, t):
          return self.n
  class A:
      d = D()
  def step(x):
      return A().d
@ metaclass call
  class M(type):
      def __call__(cls, *a):
-         return 1
+         return 2
  class A(metaclass=M):
      pass
  def step(x):
      return A()
@ metaclass getattr
  class M(type):
      def __getattr__(cls, n):
-         return 1
+         return 2
  class A(metaclass=M):
      pass
  def step(x):
      return A.foo
@ class getitem
  class A:
      def __class_getitem__(cls, k):
-         return 1
+         return 2
  def step(x):
      return A[0]
@ context manager class
  class C:
      def __enter__(self):
          return 1
      def __exit__(self, *a):
-         return True
+         return False
  def step(x):
      with C() as c:
          return c
@ contextlib manager
  import contextlib
  @contextlib.contextmanager
  def c():
-     yield 1
+     yield 2
  def step(x):
      with c() as v:
          return v
@ generator helper
  def g(x):
-     yield x + 1
+     yield x + 2
  def step(x):
      return list(g(x))
@ yield from
  def g(x):
-     yield x + 1
+     yield x + 2
  def h(x):
      yield from g(x)
  def step(x):
      return list(h(x))
@ async helper
  import asyncio
  async def g(x):
-     return x + 1
+     return x + 2
  def step(x):
      return asyncio.run(g(x))
@ NamedTuple default
  from typing import NamedTuple
  class A(NamedTuple):
-     a: int = 1
+     a: int = 2
  def step(x):
      return A().a
@ NamedTuple order
  from typing import NamedTuple
  class A(NamedTuple):
+     b: int
      a: int
-     b: int
  def step(x):
      return A(1, 2).a
@ NamedTuple method
  from typing import NamedTuple
  class A(NamedTuple):
      a: int = 1
      def m(self):
-         return 1
+         return 2
  def step(x):
      return A().m()
@ TypedDict keys
  from typing import TypedDict
  class A(TypedDict):
-     a: int
+     b: int
  def step(x):
      return list(A.__annotations__)
@ type alias
- Alias = dict[str, int]
+ Alias = list[int]
  def step(x):
      return Alias(x)
@ alias callable
  def h1(x):
      return 1
  def h2(x):
      return 2
- alias = h1
+ alias = h2
  def step(x):
      return alias(x)
@ StrEnum
  from enum import StrEnum, auto
  class A(StrEnum):
-     X = auto()
+     X = 'y'
  def step(x):
      return A.X.value
@ IntFlag
  from enum import IntFlag
  class A(IntFlag):
      X = 1
-     Y = 2
+     Y = 4
  def step(x):
      return A.X | A.Y
@ enum missing
  from enum import Enum
  class A(Enum):
      X = 1
      @classmethod
      def _missing_(cls, v):
          return cls.X
      def m(self):
-         return 1
+         return 2
  def step(x):
      return A(x).m()
@ a class with slots
  class A:
      __slots__ = ('a',)
      def __init__(self):
-         self.a = 1
+         self.a = 2
  def step(x):
      return A().a
@ property setter
  class A:
      _v = 0
      @property
      def v(self):
          return self._v
      @v.setter
      def v(self, n):
-         self._v = n + 1
+         self._v = n + 2
  def step(x):
      a = A()
      a.v = x
      return a.v
@ del dunder
  class A:
      def __getattr__(self, n):
-         return 1
+         return 2
  def step(x):
      return A().anything
@ mixins order
  class X:
      v = 1
  class Y:
      v = 2
- class A(X, Y):
+ class A(Y, X):
      pass
  def step(x):
      return A.v
@ abc
  from abc import ABC, abstractmethod
  class B(ABC):
      @abstractmethod
      def m(self): ...
      def r(self):
          return self.m()
  class A(B):
      def m(self):
-         return 1
+         return 2
  def step(x):
      return A().r()
@ registry by decorator
  R = {}
  def reg(f):
      R[f.__name__] = f
      return f
  @reg
  def late(x):
-     return 1
+     return 2
  def step(x):
      return R['late'](x)
@ registry class subclass
  R = []
  class B:
      def __init_subclass__(cls):
          R.append(cls)
  class A(B):
-     v = 1
+     v = 2
  def step(x):
      return [c.v for c in R]
@ instance const with method
  class A:
      def __init__(self, n):
          self.n = n
      def m(self, x):
          return x * self.n
- K = A(2)
+ K = A(3)
  def step(x):
      return K.m(x)
@ bound method const
  class A:
      def __init__(self, n):
          self.n = n
      def m(self, x):
          return x * self.n
- K = A(2).m
+ K = A(3).m
  def step(x):
      return K(x)
@ callable instance
  class A:
      def __init__(self, n):
          self.n = n
      def __call__(self, x):
          return x * self.n
- step2 = A(2)
+ step2 = A(3)
  def step(x):
      return step2(x)
@ slot instance const
  class A:
      __slots__ = ('n',)
      def __init__(self, n):
          self.n = n
- K = A(2)
+ K = A(3)
  def step(x):
      return K.n
@ defaultdict factory
  from collections import defaultdict
- K = defaultdict(lambda: 1)
+ K = defaultdict(lambda: 2)
  def step(x):
      return K[x]
@ Counter
  from collections import Counter
- K = Counter('aab')
+ K = Counter('aaab')
  def step(x):
      return K['a']
@ deque maxlen
  from collections import deque
- K = deque([1, 2], maxlen=2)
+ K = deque([1, 2], maxlen=3)
  def step(x):
      return K.maxlen
@ OrderedDict
  from collections import OrderedDict
- K = OrderedDict(a=1, b=2)
+ K = OrderedDict(b=2, a=1)
  def step(x):
      return list(K)
"""


def edits() -> Iterator[Edit]:
    """Yield every edit of this module."""
    yield from written("class hooks", _CLASS_HOOKS)
