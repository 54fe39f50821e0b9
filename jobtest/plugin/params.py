"""The parameters of a run, for the fixture `params`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jobtest.core.errors import did_you_mean

__all__ = ["Params"]


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
        fix = did_you_mean(name, self.__values, what="set are") or f"--job-set {name}=VALUE"
        return f"parameter {name!r} is not set\n  fix: {fix}"
