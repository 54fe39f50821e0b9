"""From collected sources to jobs and a graph, and from what the user asked for to a plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobtest.core.errors import Problem, ProjectError, UsageError, did_you_mean, nearest
from jobtest.core.graph import Graph
from jobtest.core.model import Command, EdgeKind, Job, Phase, Retry
from jobtest.core.names import Definition, Instance, Links, Reference, link, pick
from jobtest.core.planner import Plan, cleanup_plan, make_plan
from jobtest.core.scope import LABEL, Wanted
from jobtest.core.verbs import describe_plan, verb_plan
from jobtest.engine.calls import one_line
from jobtest.plugin import fixtures
from jobtest.plugin.asked import EXCLUDED, Asked
from jobtest.plugin.conditions import Conditions
from jobtest.plugin.definition import definition_of
from jobtest.plugin.hooks import changed_by_hooks
from jobtest.plugin.items import JobItem, Source, first_line, parameters
from jobtest.plugin.mark import MarkOptions
from jobtest.plugin.options import Options
from jobtest.plugin.params import Params, fix_of
from jobtest.plugin.recollection import Recollection, Recovered
from jobtest.plugin.shown import fixture_location, relative
from jobtest.plugin.source import asked_of

__all__ = ["Project", "build_project"]

Function = Callable[..., object]
PROCESS_WIDE = ("monkeypatch", "capsys", "capfd", "capsysbinary", "capfdbinary", "caplog", "recwarn")
"""Fixtures that change the whole process; a job that uses one runs alone (PRODUCT 5)."""


@dataclass(frozen=True, slots=True)
class Project:
    """All jobs of a project.

    Attributes:
        definitions: What names can mean, in definition order.
        items: By id.
        graph: All jobs.
        names: Names of all jobs.
    """

    definitions: Sequence[Definition]
    items: Mapping[str, JobItem]
    graph: Graph
    names: frozenset[str]

    def plan(self, asked: Asked, memory: Recollection, found: Recovered) -> Plan:
        """Decide what takes part.

        Args:
            asked: What the user asked for.
            memory: What is known from earlier runs.
            found: What is taken over from them.

        Raises:
            ProjectError: names that are not jobs; a value that is needed and not stored.
        """
        problems: list[Problem] = []

        def ids(names: Iterable[str], option: str) -> list[str]:
            found: list[str] = []
            for name in names:
                picked, wrong = pick(self.definitions, name, option)
                found += picked
                problems.extend(wrong)
            return found

        only = ids(asked.only, "--job-only")
        excluded = ids(asked.exclude, "--job-exclude")
        forced = ids(asked.force, "--job-force")
        if problems:
            raise ProjectError(problems)
        select = self._selected(asked, only, forced)
        if asked.command is Command.CLEANUP:
            return cleanup_plan(self.graph, {one.job: one.run for one in memory.store.owed()}, select)
        if asked.verb != "apply":
            return self._verb_plan(asked, select, excluded, memory, found)
        if asked.alone and select is not None:
            problems = memory.missing_values(self.graph, set(select))
            if problems:
                raise UsageError(problems)
        plan = make_plan(
            self.graph,
            select=select,
            named=[*only, *asked.named],
            exclude=dict.fromkeys(excluded, EXCLUDED),
            force=forced,
            seconds=memory.seconds,
            command=asked.command,
            alone=asked.alone and select is not None,
            pasts=memory.pasts,
            resumed=found.resumed,
            owed=found.owed,
            owed_first=found.first,
            undo=found.undo,
            order=asked.order,
        )
        return replace(plan, keep_cleanups=asked.keep, rolls_back=asked.rolls_back)

    def _selected(
        self, asked: Asked, only: Collection[str], forced: Collection[str]
    ) -> Collection[str] | None:
        """Return the ids that are asked for; None: all."""
        select = asked.selected
        if only:
            select = [id for id in only if select is None or id in select]
        if select is not None:
            select = {*select, *forced}
        return self.graph.descendants(select) if asked.downstream and select is not None else select

    def _verb_plan(
        self,
        asked: Asked,
        select: Collection[str] | None,
        excluded: Iterable[str],
        memory: Recollection,
        found: Recovered,
    ) -> Plan:
        left_out = dict.fromkeys(excluded, EXCLUDED)
        if asked.verb == "describe":
            return describe_plan(self.graph, select=select, exclude=left_out, pasts=memory.pasts)
        return verb_plan(
            self.graph,
            asked.verb,
            reverse=asked.reverse,
            command=asked.command,
            select=select,
            exclude=left_out,
            alone=asked.alone and select is not None,
            pasts=memory.pasts,
            resumed=found.resumed,
            owed=found.owed,
            undo=found.undo,
            order=asked.order,
        )


def build_project(
    session: pytest.Session,
    sources: Sequence[Source],
    options: Options,
) -> tuple[Project, list[Problem]]:
    """Resolve names and build the graph.

    Args:
        session: The session.
        sources: All of the project.
        options: What is asked for.

    Returns:
        The project, and all that is wrong with it; with problems, its graph is of no use.
    """
    builder = _Builder(session, sources, options)
    definitions = [builder.definition(source) for source in sources]
    builder.refuse_misspelt(options.set_params)
    builder.conditions.refuse_flags(options.set_flags)
    links, unlinked = link(definitions, builder.fixture_names)
    items = {item.id_: item for source in sources for item in source.items}
    graph = Graph([])
    made = [builder.job(source, item, links[item.id_]) for source in sources for item in source.items]
    jobs, changed = changed_by_hooks(session.config, made)
    problems = [*builder.problems, *builder.conditions.problems, *unlinked, *changed]
    if len(jobs) < len(made):
        items = {job.id: items[job.id] for job in jobs}
        definitions = [one for definition in definitions for one in _left(definition, items)]
    try:
        graph = Graph(jobs) if not changed else graph
    except ProjectError as error:
        problems += error.problems
    return Project(definitions, items, graph, builder.names), problems


def _left(definition: Definition, items: Mapping[str, JobItem]) -> Iterable[Definition]:
    """Yield what is left of a definition if only some items are."""
    instances = tuple(one for one in definition.instances if one.id in items)
    if instances:
        yield replace(definition, instances=instances)


class _Builder:
    def __init__(self, session: pytest.Session, sources: Sequence[Source], options: Options) -> None:
        self._executor, self._settings = options.executor, options.settings
        self.conditions = Conditions(options.settings, options.situation)
        self._outside: dict[str, str] = {}
        self.names = frozenset(source.name for source in sources)
        self.problems: list[Problem] = []
        self.fixture_names: set[str] = set()
        self._root: Path = session.config.rootpath
        self._params = options.params
        self._params_asked: dict[Function, frozenset[str]] = {}
        self._asked: set[str] = set()

    # --- references ---

    def definition(self, source: Source) -> Definition:
        """Return what names can mean of a source, and what it asks for itself."""
        self._asked |= source.params
        references = self._values(source) if source.items and source.items[0].fixturenames else []
        options = source.options
        references += [self._ordered(source, wanted, EdgeKind.NEEDS) for wanted in options.needs]
        references += [self._ordered(source, wanted, EdgeKind.AFTER) for wanted in options.after]
        self._check_values(source)
        self._outside[source.id] = self.conditions.outside(options.scope, source.name, source.at_keyword)
        instances = tuple(_instance(source, item) for item in source.items)
        return Definition(
            source.id, source.name, source.path, source.at, instances, tuple(references), options.labels
        )

    def _ordered(self, source: Source, wanted: Wanted, kind: EdgeKind) -> Reference:
        def at(_: str) -> str:
            return source.locate(wanted.job) if source.locate else source.at

        outside = self.conditions.outside(wanted.scope, source.name, at)
        return Reference(wanted.job, kind, self._asked_at(source, wanted.job), applies=not outside)

    def _asked_at(self, source: Source, name: str) -> str:
        """Return where a name is asked for; to the column, if it is going to be a problem."""
        known = name.startswith(LABEL) or name.removeprefix("job_") in self.names
        return source.at if known or source.locate is None else source.locate(name)

    def _values(self, source: Source) -> list[Reference]:
        item = source.items[0]
        known = fixtures.known(item)
        given = getattr(item, "callspec", None)
        self.fixture_names.update(name for name in known if given is None or name not in given.params)
        references = []
        for name in item.fixturenames:
            is_fixture = (
                bool(known.get(name)) or name == "request" or (given is not None and name in given.params)
            )
            explicit = source.options.values.get(name)
            if explicit is not None:
                references.append(Reference(explicit, EdgeKind.VALUE, self._asked_at(source, explicit), name))
            elif name.startswith("job_") or not is_fixture:
                if self._is_own(source, name):
                    source.own.append(name)
                elif not _is_misplaced(source, name):
                    references.append(self._value(source, item, name))
            elif name in self.names and (given is None or name not in given.params):
                self._refuse_both(source, item, name)
            if name == "params":
                self._look_for_params(source)
        return references

    def _value(self, source: Source, item: JobItem, name: str) -> Reference:
        place = self._place(source, item, name)
        if name.removeprefix("job_") not in self.names:
            close = nearest(name, fixtures.all_names(item.session))
            self.fixture_names.update([close] if close else ())
        if self._is_taken(source, item, name):
            return Reference(name, EdgeKind.VALUE, place, name)
        source.only_order(name)
        return Reference(name, EdgeKind.NEEDS, place)

    @staticmethod
    def _is_own(source: Source, name: str) -> bool:
        """Tell whether a job asks for its own value, which only its run phase may not."""
        own = name.removeprefix("job_") == source.name
        return own and source.run is not None and name not in source.names.get(Phase.RUN, ())

    @staticmethod
    def _is_taken(source: Source, item: JobItem, name: str) -> bool:
        """Tell whether a function or fixture takes a name as parameter; else it is from usefixtures."""
        functions = [f for phase in source.names for f in source.functions(phase).values()]
        definitions = [one for found in fixtures.known(item).values() for one in found]
        return any(name in parameters(f) for f in functions) or any(
            name in one.argnames for one in definitions
        )

    def _place(self, source: Source, item: JobItem, name: str) -> str:
        """Return where a name is asked for: one of the job's functions, or the fixture on the way."""
        for phase in source.names:
            for function_name, function in source.functions(phase).items():
                if name in parameters(function):
                    return source.places[function_name]
        for asked in item.fixturenames:
            for definition in fixtures.known(item).get(asked, ()):
                if name in definition.argnames:
                    return f"{fixture_location(definition, self._root)}, for {source.at}"
        return source.at

    def _refuse_both(self, source: Source, item: JobItem, name: str) -> None:
        if name not in source.used and not self._is_taken(source, item, name):
            return  # an autouse fixture, which nobody asks for by its name
        definition = fixtures.known(item)[name][-1]
        self.problems.append(
            Problem(
                what=f"job {source.name!r} asks for {name!r}, which is both a job and a fixture",
                at=(self._place(source, item, name), fixture_location(definition, self._root)),
                fix=f"write job_{name} for the job, or rename one of them",
            )
        )

    def _check_values(self, source: Source) -> None:
        names = set(source.items[0].fixturenames) if source.items else set()
        for parameter in source.options.values:
            if parameter not in names:
                what = f"job {source.name!r}: needs names {parameter!r}, which is none of its parameters"
                fix = (
                    did_you_mean(parameter, names, what="parameters are")
                    or 'for success alone write needs=["..."]'
                )
                self.problems.append(Problem(what=what, at=(source.at,), fix=fix))

    def _look_for_params(self, source: Source) -> None:
        """Find parameters that are asked for and not set, before anything runs."""
        item = source.items[0]
        asking = [(name, f) for phase in source.names for name, f in source.functions(phase).items()]
        for definitions in fixtures.known(item).values():
            asking += [(definition.func.__name__, definition.func) for definition in definitions]
        for name, function in asking:
            if "params" in parameters(function):
                if function not in self._params_asked:
                    self._params_asked[function] = self._params_of(name, function)
                source.params |= self._params_asked[function]

    def _params_of(self, name: str, function: Function) -> frozenset[str]:
        """Return the parameters that a function asks for: all, if it does more than ask by name."""
        file = relative(Path(inspect.unwrap(function).__code__.co_filename), self._root)
        found = asked_of(function, "params")
        for asked, line in found:
            self._asked.add(asked)
            if asked not in self._params and not hasattr(Params, asked):
                what = f"{name} asks for the parameter {asked!r}, which is not set"
                at = f"{file}:{line} {name}"
                fix = self._context_with(asked) or fix_of(asked, list(self._params))
                self.problems.append(Problem(what=what, at=(at,), fix=fix))
        names = frozenset(asked for asked, _ in found)
        return names if names and names.issubset(self._params) else frozenset(self._params)

    def _context_with(self, name: str) -> str:
        """Return how to choose a context that sets a parameter, or empty if none does."""
        contexts = [one for one, context in self._settings.contexts.items() if name in context.params]
        return f"choose a context that sets it: --job-context {' or '.join(contexts)}" if contexts else ""

    def refuse_misspelt(self, given: Iterable[str]) -> None:
        """Refuse parameters that nothing is seen to ask for and that are much like one that is known."""
        for name in sorted(set(given) - self._asked):
            known = [one for one in {*self._params, *self._asked} if one != name]
            close = nearest(name, sorted(known))
            if close is not None:
                what = f"--job-set names the parameter {name!r}, which no job asks for"
                self.problems.append(Problem(what=what, fix=f"did you mean {close!r}?"))

    # --- jobs ---

    def _skip(self, source: Source, item: JobItem) -> str:
        try:
            return fixtures.skip_reason(item) or self._outside[source.id]
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - a condition may raise anything
            said = one_line(error).rstrip(":")
            what = f"job {source.name!r}: its skip mark cannot be evaluated: {said}"
            self.problems.append(Problem(what=what, at=(source.at,), fix="correct the condition"))
            return ""

    def _used(self, source: Source) -> dict[str, object]:
        """Return the parameters of the project that a job or its fixtures ask for, with their values."""
        return {f"params.{name}": self._params[name] for name in sorted(source.params)}

    def job(self, source: Source, item: JobItem, links: Links) -> Job:
        """Return an item as data."""
        options = source.options
        isolated = self._is_isolated(source)
        item.exclusive = "" if isolated else _process_wide(item)
        check_names = set(source.names.get(Phase.CHECK, ()))
        takes = links.takes
        return Job(
            id=item.id_,
            name=source.name,
            description=first_line(source.main),
            at=source.at,
            params=_plain_params(item),
            edges=links.edges,
            takes=takes,
            early=frozenset(take.parameter for take in takes if take.parameter in check_names),
            has_check=bool(source.checks or options.inputs or options.outputs),
            has_run=source.run is not None,
            has_describe="describe" in source.companions,
            has_cleanup="cleanup" in source.companions,
            has_rollback="rollback" in source.companions and options.rollback,
            functions=tuple(sorted(source.companions)),
            own_value=any(name.removeprefix("job_") == source.name for name in check_names)
            and source.run is not None,
            is_generator=source.run is not None and inspect.isgeneratorfunction(inspect.unwrap(source.run)),
            always=options.always,
            exclusive=item.exclusive,
            priority=options.priority,
            resources=options.resources,
            retry=self._retry(options),
            on_failure=options.on_failure,
            skip=self._skip(source, item),
            definition=definition_of(source, {**_plain_params(item), **self._used(source)}),
            tracks=options.tracks,
            once=options.once,
            isolated=isolated,
            timeout=self._timeout(options) if self._executor != "here" else None,
            memory=options.memory,
        )

    def _retry(self, options: MarkOptions) -> Retry:
        if "retries" in options.said or not self._settings.retries:
            return options.retry
        return replace(options.retry, retries=self._settings.retries)

    def _timeout(self, options: MarkOptions) -> float | None:
        return options.timeout if "timeout" in options.said else self._settings.timeout

    def _is_isolated(self, source: Source) -> bool:
        """Tell whether a job has a process of its own: as it says, or as its timeout wants it, or the run."""
        options = source.options
        if self._executor == "here" or options.executor == "thread":
            return False
        is_async = source.run is not None and inspect.iscoroutinefunction(inspect.unwrap(source.run))
        killable = self._timeout(options) is not None and not is_async
        return options.executor == "process" or self._executor != "thread" or killable


def _is_misplaced(source: Source, name: str) -> bool:
    """Tell whether a name is parametrised on a check, which is refused already."""
    marks = (mark for check in source.checks.values() for mark in getattr(check, "pytestmark", ()))
    asked = (mark.args[0] for mark in marks if mark.name == "parametrize" and mark.args)
    return any(name in (one.replace(" ", "").split(",") if isinstance(one, str) else one) for one in asked)


def _process_wide(item: JobItem) -> str:
    """Return why a job runs alone, or empty."""
    if item.fixturenames:
        for name in PROCESS_WIDE:
            if name in item.fixturenames:
                return f"it uses {name}"
    if fixtures.has_mark(item, "filterwarnings"):
        return "it has warning filters of its own"
    return ""


def _instance(source: Source, item: JobItem) -> Instance:
    spec = getattr(item, "callspec", None)
    if spec is None:
        return Instance(item.id_, {})
    ids = fixtures.id_list(spec)
    groups = [*zip(source.groups, ids, strict=False)]
    if len(ids) != len(source.groups):  # an id is hidden, or somebody made call specifications by hand
        groups = [((name,), str(value)) for name, value in spec.params.items()]
    return Instance(item.id_, _plain_params(item), tuple(groups))


def _plain_params(item: JobItem) -> dict[str, object]:
    """Return the parameters of an item as values that can be compared, stored and shown."""
    spec = getattr(item, "callspec", None)
    if spec is None:
        return {}
    return {name: _plain(value, f"{name}{spec.indices[name]}") for name, value in spec.params.items()}


def _plain(value: object, by_position: str) -> object:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    text = repr(value)
    return by_position if " at 0x" in text else text
