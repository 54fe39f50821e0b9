"""What a job, or a wish for another job, may be limited to: contexts, verbs, a flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

__all__ = ["EVERYWHERE", "LABEL", "Need", "Scope", "Situation", "Wanted"]

LABEL = "label:"
"""What `needs` and `after` begin with to mean all jobs with a label: `label:KEY=VALUE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """In what a run takes place.

    Attributes:
        context: Name of the context, or empty.
        command: The verb that was given, as the user calls it.
        flags: Whether each flag that is known is on.
    """

    context: str = ""
    command: str = "apply"
    flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where something applies. Nothing said means everywhere; what excludes wins.

    Attributes:
        contexts: In these only.
        not_contexts: Not in these.
        commands: For these verbs only.
        not_commands: Not for these.
        flag: If this flag is on, or empty.
        flag_off: If it is off instead.
    """

    contexts: tuple[str, ...] = ()
    not_contexts: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    not_commands: tuple[str, ...] = ()
    flag: str = ""
    flag_off: bool = False

    def outside(self, now: Situation) -> str:
        """Return why it does not apply, or empty."""
        where = f"not in context {now.context}" if now.context else "no context is chosen"
        for said, key, names, excludes in (
            (where, "not_contexts", self.not_contexts, True),
            (where, "contexts", self.contexts, False),
            (f"not for command {now.command}", "not_commands", self.not_commands, True),
            (f"not for command {now.command}", "commands", self.commands, False),
        ):
            one = now.context if key.endswith("contexts") else now.command
            if names and (one in names) is excludes:
                return f"{said} ({key}: {', '.join(names)})"
        if self.flag and now.flags.get(self.flag, False) is self.flag_off:
            return f"flag {self.flag} is {'on' if self.flag_off else 'off'}"
        return ""


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Another job that is needed, or followed, as it was read.

    Attributes:
        job: Its name or full reference, or `label:KEY=VALUE`.
        scope: Where that is so.
    """

    job: str
    scope: Scope = EVERYWHERE


@dataclass(frozen=True, slots=True)
class Need:
    """Another job that is needed, or followed, under conditions: `needs=[Need("a", contexts=["prod"])]`.

    Attributes:
        job: Its name or full reference, or `label:KEY=VALUE`.
        contexts: In these contexts only.
        not_contexts: Not in these.
        commands: For these verbs only.
        not_commands: Not for these.
    """

    job: str
    _: KW_ONLY
    contexts: str | Sequence[str] = ()
    not_contexts: str | Sequence[str] = ()
    commands: str | Sequence[str] = ()
    not_commands: str | Sequence[str] = ()
