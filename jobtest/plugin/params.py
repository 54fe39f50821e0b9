"""The parameters of a run, for the fixture `params`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from jobtest.core.errors import nearest

__all__ = ["Params", "fix_of"]


class Params(Mapping[str, object]):
    """Parameters from the settings and `--job-set`: `params.movie` or `params["movie"]`. Read only."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__values = dict(values)

    def __getitem__(self, name: str) -> object:
        try:
            return self.__values[name]
        except KeyError:
            raise KeyError(self.__missing(name)) from None

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.__values[name]
        except KeyError:
            raise AttributeError(self.__missing(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.__values)

    def __len__(self) -> int:
        return len(self.__values)

    def __repr__(self) -> str:
        return f"Params({self.__values!r})"

    def __missing(self, name: str) -> str:
        return f"parameter {name!r} is not set\n  fix: {fix_of(name, self.__values)}"


def fix_of(name: str, known: Collection[str]) -> str:
    """Return what to do about a parameter that is asked for and not set."""
    close = nearest(name, known)
    return f"did you mean {close!r}?" if close else f"--job-set {name}=VALUE"
