"""Makes one call of a seam fail: the n-th, with any error, however deep in a library it lies."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Injector:
    """While its block lasts, call number `at` of `owner.name` raises `error()`, and later ones go through.

    `after`: the call is done first, so that only its outcome is unknown. `only` tells which calls count.
    """

    owner: Any
    name: str
    error: Callable[[], BaseException]
    at: int = 1
    after: bool = False
    only: Callable[..., bool] = lambda *_, **__: True
    calls: int = field(default=0, init=False)

    @property
    def struck(self) -> bool:
        """Whether the call has come that fails."""
        return self.calls >= self.at

    def __enter__(self) -> Self:
        self._original = inspect.getattr_static(self.owner, self.name)
        original = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self._wrapped(original))
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self.owner, self.name, self._original)

    def _due(self, *arguments: Any, **options: Any) -> bool:
        if not self.only(*arguments, **options):
            return False
        self.calls += 1
        return self.calls == self.at

    def _wrapped(self, original: Any) -> Any:
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def asynchronous(*arguments: Any, **options: Any) -> Any:
                due = self._due(*arguments, **options)
                if due and not self.after:
                    raise self.error()
                result = await original(*arguments, **options)
                if due:
                    raise self.error()
                return result

            return asynchronous

        @functools.wraps(original)
        def synchronous(*arguments: Any, **options: Any) -> Any:
            due = self._due(*arguments, **options)
            if due and not self.after:
                raise self.error()
            result = original(*arguments, **options)
            if due:
                raise self.error()
            return result

        return synchronous
