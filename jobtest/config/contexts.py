"""The contexts of a project: named environments with parameters of their own. A run may choose one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the settings say of one context. Each table goes over the general one, key by key.

    Attributes:
        params: Parameters.
        resources: Amounts that there are.
        flags: Whether flags are on.
        allow_faults: Faults may be injected.
    """

    params: Mapping[str, object] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    allow_faults: bool = False
