"""Faults that a run is asked for, by `--job-inject` or `--job-replay`: whether it may, and for which jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from jobtest.config.faults import AskedFault, read_faults
from jobtest.config.settings import Settings
from jobtest.core.errors import Problem
from jobtest.core.faults import Fault, FaultKind
from jobtest.core.graph import Graph
from jobtest.core.model import Command
from jobtest.core.names import Definition, pick
from jobtest.core.summary import Summary
from jobtest.plugin.options import Options

__all__ = ["Faults", "find_faults", "without_faults"]

INJECT, REPLAY = "--job-inject", "--job-replay"


@dataclass(frozen=True, slots=True)
class Faults:
    """What is injected.

    Attributes:
        texts: As it was asked for.
        of: By the id of a job; no two for one attempt.
        asked: Each with the ids of its jobs.
    """

    texts: Sequence[str] = ()
    of: Mapping[str, Sequence[Fault]] = field(default_factory=dict)
    asked: Sequence[tuple[AskedFault, Sequence[str]]] = ()

    def missed(self, summary: Summary) -> list[str]:
        """Return a line for each that did not come to pass."""
        return [
            f"not injected: {asked.text} (its run phase was not begun)"
            for asked, ids in self.asked
            if not any(_has_come(asked.fault, summary, id) for id in ids)
        ]


def _has_come(fault: Fault, summary: Summary, id: str) -> bool:
    record = summary.jobs.get(id)
    if record is None:
        return False
    told = {fault.told(attempt.number) for attempt in record.attempts if fault.at(attempt.number)}
    return not told.isdisjoint(record.injected)


def find_faults(
    given: Iterable[str], options: Options, definitions: Sequence[Definition], graph: Graph
) -> tuple[Faults, list[Problem]]:
    """Return what is to be injected, and all that is wrong with it.

    Args:
        given: What `--job-inject` says.
        options: Of the run; what it replays may have had faults.
        definitions: What names can mean.
        graph: All jobs.
    """
    asked: list[tuple[str, AskedFault]] = []
    problems: list[Problem] = []
    for text in given:
        read, wrong = read_faults(text, INJECT)
        asked += [(INJECT, one) for one in read]
        problems += wrong
    if options.replay is not None and options.command is Command.APPLY:
        asked += [(REPLAY, one) for one in options.replay.faults]
    for option in dict.fromkeys([*(INJECT for _ in problems[:1]), *(option for option, _ in asked)]):
        problems += _not_allowed(option, options.settings)
    meant = []
    for option, one in asked:
        ids, wrong = pick(definitions, one.job, option)
        problems += wrong
        problems += [problem for id in ids if (problem := _cannot_die(option, one, graph, id)) is not None]
        meant.append((one, ids))
    of: dict[str, dict[Fault, AskedFault]] = {}
    for one, ids in meant:
        for id in ids:
            of.setdefault(id, {})[one.fault] = one
    problems += [problem for id, faults in of.items() for problem in _at_once(graph, id, faults)]
    texts = list(dict.fromkeys(one.text for _, one in asked))
    return Faults(texts, {id: tuple(faults) for id, faults in of.items()}, meant), problems


def _not_allowed(option: str, settings: Settings) -> list[Problem]:
    if settings.allow_faults:
        return []
    who = f"context {settings.context!r} does" if settings.context else "the settings do"
    where = f" ({settings.source})" if settings.source else ""
    key = f"contexts.{settings.context}.allow_faults" if settings.context else "allow_faults"
    fix = f"set {key} = true in the settings{where}"
    may = sorted(name for name, one in settings.contexts.items() if one.allow_faults)
    fix += f", or --job-context={may[0]}, which allows them" if may else ""
    what = " repeats the faults of that run, and" if option == REPLAY else ":"
    return [Problem(what=f"{option}{what} {who} not allow faults", fix=fix)]


def _cannot_die(option: str, asked: AskedFault, graph: Graph, id: str) -> Problem | None:
    job = graph[id]
    if asked.fault.kind is not FaultKind.KILL or job.isolated:
        return None
    what = f"{option} {asked.text!r}: job {job.label!r} has no process of its own that could be killed"
    return Problem(what=what, at=(id,), fix="isolate=True on the job, or --job-executor=process")


def _at_once(graph: Graph, id: str, faults: Mapping[Fault, AskedFault]) -> list[Problem]:
    found = []
    for (one, first), (other, second) in combinations(faults.items(), 2):
        attempt = one.shared(other)
        if attempt is not None:
            what = f"{first.text!r} and {second.text!r} are both for attempt {attempt} of {graph[id].label}"
            found.append(Problem(what=what, fix="say which attempt of them each is for: @1, @2-3"))
    return found


def without_faults(args: Sequence[str]) -> list[str]:
    """Return a command line that injects nothing."""
    left: list[str] = []
    value = False
    for arg in args:
        if value or arg == INJECT or arg.startswith(f"{INJECT}="):
            value = not value and arg == INJECT
        else:
            left.append(arg)
    return left
