"""Where the classes of values are looked up. Nothing here imports anything."""

from __future__ import annotations

import builtins
from types import ModuleType
from typing import Protocol

__all__ = ["Home", "ModuleHome"]


class Home(Protocol):
    """Where the dataclasses and enums of values live: only these are stored and restored."""

    def type(self, name: str) -> builtins.type | None:
        """Return the class of that name."""

    def name(self, cls: builtins.type) -> str | None:
        """Return the name under which `type` finds a class, if there is one."""


class ModuleHome:
    """The classes that a module has as attributes (also of classes), under their own qualified name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def type(self, name: str) -> builtins.type | None:
        """Return the class of that name; nothing is imported, and no `__getattr__` is asked."""
        here: object = self._module
        for part in name.split("."):
            here = vars(here).get(part) if isinstance(here, type | ModuleType) else None
        return here if isinstance(here, type) and here.__qualname__ == name else None

    def name(self, cls: builtins.type) -> str | None:
        """Return the name of a class that this module has."""
        return cls.__qualname__ if self.type(cls.__qualname__) is cls else None
