"""What the marks of jobs say of contexts, verbs and flags: whether it is known, and whether it applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobtest.config.settings import Settings
from jobtest.config.verbs import find_verb
from jobtest.core.errors import Problem, did_you_mean
from jobtest.core.scope import EVERYWHERE, Scope, Situation

__all__ = ["Conditions"]


class Conditions:
    """Answers for one run.

    Attributes:
        problems: Names that are declared nowhere.
    """

    def __init__(self, settings: Settings, situation: Situation) -> None:
        self.problems: list[Problem] = []
        self._settings, self._now = settings, situation
        self._flags_asked: set[str] = set()

    def outside(self, scope: Scope, job: str, at: Callable[[str], str]) -> str:
        """Return why something does not apply, or empty; note names in it that are not known.

        Args:
            scope: Where it applies.
            job: Name of the job whose mark says so.
            at: Tells where a keyword stands.
        """
        if scope is EVERYWHERE:
            return ""
        self._check(scope, job, at)
        return scope.outside(self._now)

    def refuse_flags(self, given: frozenset[str]) -> None:
        """Refuse flags of the command line that neither the settings nor any job names.

        Args:
            given: Those that the settings do not name.
        """
        known = {*self._settings.flags, *self._flags_asked}
        for name in sorted(given - known):
            fix = did_you_mean(name, known, what="there are")
            what = f"--job-flag {name!r} is no flag of this project"
            self.problems.append(Problem(what=what, fix=fix or "there are none"))

    def _check(self, scope: Scope, job: str, at: Callable[[str], str]) -> None:
        contexts, verbs = self._settings.contexts, self._settings.commands
        for key in ("contexts", "not_contexts"):
            for name in getattr(scope, key):
                if name not in contexts:
                    fix = did_you_mean(name, contexts, what="there are") or _declare("contexts", name, "{}")
                    self._refuse(job, at(key), f"{key} names {name!r}, which is no context", fix)
        for key in ("commands", "not_commands"):
            for name in getattr(scope, key):
                verb, fix = find_verb(name, verbs)
                if verb is None:
                    self._refuse(job, at(key), f"{key} names {name!r}, which is no command", fix)
        if scope.flag:
            self._flags_asked.add(scope.flag)
            if scope.flag not in self._now.flags:
                known: Mapping[str, bool] = self._settings.flags
                fix = did_you_mean(scope.flag, known, what="there are") or _declare(
                    "flags", scope.flag, "false"
                )
                what = f"when names the flag {scope.flag!r}, which is declared nowhere"
                self._refuse(job, at("when"), what, fix)

    def _refuse(self, job: str, at: str, said: str, fix: str) -> None:
        self.problems.append(Problem(what=f"job {job!r}: {said}", at=(at,), fix=fix))


def _declare(table: str, name: str, value: str) -> str:
    return f"declare it in the settings: {table}.{name} = {value}"
