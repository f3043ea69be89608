"""This module edits what pydantic, dataclasses and functools make of a few written lines."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, written

_PYDANTIC_MODELS = r"""
@ pydantic default
  from pydantic import BaseModel
  class M(BaseModel):
-     a: int = 1
+     a: int = 2
  def step(x):
      return M().a
@ pydantic default_factory
  from pydantic import BaseModel, Field
  def mk():
-     return [1]
+     return [2]
  class M(BaseModel):
      a: list[int] = Field(default_factory=mk)
  def step(x):
      return M().a
@ pydantic lambda factory
  from pydantic import BaseModel, Field
  class M(BaseModel):
-     a: list[int] = Field(default_factory=lambda: [1])
+     a: list[int] = Field(default_factory=lambda: [2])
  def step(x):
      return M().a
@ pydantic constraint
  from pydantic import BaseModel, Field
  class M(BaseModel):
-     a: int = Field(1, ge=0)
+     a: int = Field(1, ge=5)
  def step(x):
      return M(a=x).a
@ pydantic validator
  from pydantic import BaseModel, field_validator
  class M(BaseModel):
      a: int = 1
      @field_validator('a')
      @classmethod
      def v(cls, a):
-         return a + 1
+         return a + 2
  def step(x):
      return M(a=x).a
@ pydantic validator helper
  from pydantic import BaseModel, BeforeValidator
  from typing import Annotated
  def h(a):
-     return a + 1
+     return a + 2
  class M(BaseModel):
      a: Annotated[int, BeforeValidator(h)] = 1
  def step(x):
      return M(a=x).a
@ pydantic model_validator
  from pydantic import BaseModel, model_validator
  class M(BaseModel):
      a: int = 1
      @model_validator(mode='after')
      def v(self):
-         self.a += 1
+         self.a += 2
          return self
  def step(x):
      return M(a=x).a
@ pydantic config
  from pydantic import BaseModel, ConfigDict
  class M(BaseModel):
-     model_config = ConfigDict(extra='ignore')
+     model_config = ConfigDict(extra='forbid')
      a: int = 1
  def step(x):
      return M(**x).a
@ pydantic field type
  from pydantic import BaseModel
  class M(BaseModel):
-     a: int = 1
+     a: float = 1
  def step(x):
      return M(a=x).a
@ pydantic nested
  from pydantic import BaseModel
  class N(BaseModel):
-     b: int = 1
+     b: int = 2
  class M(BaseModel):
      n: N = N()
  def step(x):
      return M().n.b
@ pydantic computed
  from pydantic import BaseModel, computed_field
  class M(BaseModel):
      a: int = 1
      @computed_field
      @property
      def c(self) -> int:
-         return self.a * 2
+         return self.a * 3
  def step(x):
      return M().c
@ pydantic docstring [same]
  from pydantic import BaseModel
  class M(BaseModel):
-     '''One.'''
+     '''Two.'''
      a: int = 1
  def step(x):
      return M().a
@ TypeAdapter [uncached ok]
  from pydantic import Field, TypeAdapter
  from typing import Annotated
- T = TypeAdapter(Annotated[int, Field(ge=0)])
+ T = TypeAdapter(Annotated[int, Field(ge=9)])
  def step(x):
      return T.validate_python(x)
@ pydantic instance const
  from pydantic import BaseModel
  class M(BaseModel):
      a: int = 1
- K = M(a=3)
+ K = M(a=4)
  def step(x):
      return K.a
"""

_DATACLASS_OPTIONS = r"""
@ dc factory lambda
  from dataclasses import dataclass, field
  @dataclass
  class A:
-     a: list = field(default_factory=lambda: [1])
+     a: list = field(default_factory=lambda: [2])
  def step(x):
      return A().a
@ dc post_init
  from dataclasses import dataclass
  @dataclass
  class A:
      a: int = 1
      def __post_init__(self):
-         self.a += 1
+         self.a += 2
  def step(x):
      return A().a
@ dc field metadata
  from dataclasses import dataclass, field
  import dataclasses
  @dataclass
  class A:
-     a: int = field(default=1, metadata={'k': 1})
+     a: int = field(default=1, metadata={'k': 2})
  def step(x):
      return dataclasses.fields(A)[0].metadata['k']
@ dc order flag
  from dataclasses import dataclass, field
  @dataclass(order=True)
  class A:
      a: int = 1
-     b: int = field(default=1, compare=True)
+     b: int = field(default=1, compare=False)
  def step(x):
      return A() < A(b=2)
@ dc field order
  from dataclasses import dataclass
  @dataclass
  class A:
+     b: int = 1
      a: int = 1
-     b: int = 1
  def step(x):
      return A(3)
@ dc kw_only
  from dataclasses import dataclass
- @dataclass(frozen=True)
+ @dataclass(eq=False)
  class A:
      a: int = 1
  def step(x):
      return hash(A())
@ dc repr flag
  from dataclasses import dataclass, field
  @dataclass
  class A:
-     a: int = field(default=1, repr=True)
+     a: int = field(default=1, repr=False)
  def step(x):
      return repr(A())
"""

_FUNCTOOLS = r"""
@ cache
  import functools
  @functools.cache
  def h(x):
-     return x + 1
+     return x + 2
  def step(x):
      return h(x)
@ lru_cache
  import functools
  @functools.lru_cache(maxsize=8)
  def h(x):
-     return x + 1
+     return x + 2
  def step(x):
      return h(x)
@ cached_property
  import functools
  class A:
      @functools.cached_property
      def v(self):
-         return 1
+         return 2
  def step(x):
      return A().v
@ singledispatch late registration
  import functools
  @functools.singledispatch
  def h(x):
      return 0
  @h.register
  def _(x: int):
-     return 1
+     return 2
  def step(x):
      return h(x)
@ singledispatchmethod
  import functools
  class A:
      @functools.singledispatchmethod
      def h(self, x):
          return 0
      @h.register
      def _(self, x: int):
-         return 1
+         return 2
  def step(x):
      return A().h(x)
@ partialmethod
  import functools
  class A:
      def h(self, y):
          return y
-     g = functools.partialmethod(h, 1)
+     g = functools.partialmethod(h, 2)
  def step(x):
      return A().g()
@ reduce lambda
  import functools
- OPS = (lambda x: x + 1, lambda x: x * 2)
+ OPS = (lambda x: x + 1, lambda x: x * 3)
  def step(x):
      return functools.reduce(lambda a, o: o(a), OPS, x)
@ total_ordering
  import functools
  @functools.total_ordering
  class A:
      def __init__(self, v):
          self.v = v
      def __eq__(self, o):
          return self.v == o.v
      def __lt__(self, o):
-         return self.v < o.v
+         return self.v > o.v
  def step(x):
      return A(1) >= A(x)
@ wraps decorator arg
  import functools
  def times(n):
      def deco(f):
          @functools.wraps(f)
          def w(*a):
              return f(*a) * n
          return w
      return deco
- @times(2)
+ @times(3)
  def h(x):
      return x
  def step(x):
      return h(x)
"""


def edits() -> Iterator[Edit]:
    """Yield every edit of this module."""
    yield from written("pydantic models", _PYDANTIC_MODELS)
    yield from written("dataclass options", _DATACLASS_OPTIONS)
    yield from written("functools", _FUNCTOOLS)
