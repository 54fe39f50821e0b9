"""Several check functions of one job, as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from jobtest.plugin.items import parameters

__all__ = ["all_hold"]

Function = Callable[..., object]


def all_hold(functions: Mapping[str, Function]) -> Function:
    """Return one check for several: it holds when all do, and says which does not.

    The one without a name asks for files, and takes nothing.
    """
    wanted = {name: parameters(function) if name else () for name, function in functions.items()}
    if any(inspect.iscoroutinefunction(inspect.unwrap(function)) for function in functions.values()):

        async def each_holds_async(**arguments: object) -> object:
            __tracebackhide__ = True
            for name, function in functions.items():
                answer = function(**{one: arguments[one] for one in wanted[name]})
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer is not None and answer is not True:
                    return answer
            return None

        return each_holds_async

    def each_holds(**arguments: object) -> object:
        __tracebackhide__ = True
        for name, function in functions.items():
            answer = function(**{one: arguments[one] for one in wanted[name]})
            if answer is not None and answer is not True:
                return answer
        return None

    return each_holds
