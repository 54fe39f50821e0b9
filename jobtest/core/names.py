"""From the names that users write to the ids of jobs: nearest first, joined on shared parameters.

Promised: every reference is either linked or told as a problem; linking does not depend on the order of
definitions, but for the order of a gathered dict, which is definition order. Time is linear in definitions
and edges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jobtest.core.errors import Problem, did_you_mean
from jobtest.core.model import Edge, EdgeKind, Take
from jobtest.core.scope import LABEL

__all__ = ["Definition", "Instance", "Links", "Reference", "link", "pick"]


@dataclass(frozen=True, slots=True)
class Instance:
    """One parametrisation of a definition; a definition without parameters has one.

    Attributes:
        id: Id of the job.
        params: Parameter name to plain, hashable value.
        groups: The names that were parametrised together, with the id text of their value, in order.
    """

    id: str
    params: Mapping[str, object]
    groups: tuple[tuple[tuple[str, ...], str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that a job asks for.

    Attributes:
        target: `build`, `job_build`, `build[eu]` or `ci/job_main.py::job_build`; or, but for a value,
            `label:KEY=VALUE`: all other jobs with that label, of which there may be none.
        kind: What is wanted.
        at: Where it is asked for.
        parameter: For a value: the parameter that takes it.
        applies: It is followed; otherwise it is only checked that it means something.
    """

    target: str
    kind: EdgeKind
    at: str
    parameter: str = ""
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Definition:
    """What one `job_NAME` says, before names are resolved.

    Attributes:
        id: Node id without parameters, `ops/job_a.py::job_build`.
        name: `build`.
        path: File, with `/`, relative to the rootdir.
        at: `file:line name`, for messages.
        instances: At least one.
        references: What it asks for, in order.
        labels: By which others may ask for it.
    """

    id: str
    name: str
    path: str
    at: str
    instances: tuple[Instance, ...]
    references: tuple[Reference, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Links:
    """The resolved references of one instance."""

    edges: tuple[Edge, ...] = ()
    takes: tuple[Take, ...] = ()


NO_LINKS = Links()


def link(
    definitions: Sequence[Definition], fixtures: Collection[str] = ()
) -> tuple[dict[str, Links], list[Problem]]:
    """Resolve every reference.

    Args:
        definitions: All of the project.
        fixtures: Names of fixtures, for suggestions only.

    Returns:
        Links by instance id, and all problems in definition order.
    """
    linker = _Linker(definitions, fixtures)
    links: dict[str, Links] = {}
    for definition in definitions:
        if definition.references:
            linker.link(definition, links)
        else:
            links.update((instance.id, NO_LINKS) for instance in definition.instances)
    return links, linker.problems


def pick(definitions: Sequence[Definition], spelled: str, asked: str) -> tuple[list[str], list[Problem]]:
    """Return the ids of the instances that a name given in an option means, from the rootdir's view.

    Args:
        definitions: All of the project.
        spelled: A name, a full reference, either with `[id]`.
        asked: Where it was given, e.g. `--job-only`.
    """
    linker = _Linker(definitions, ())
    found = linker.resolve(spelled, "")
    if isinstance(found, _Unknown):
        known = sorted(
            {definition.name for definition in definitions} | {definition.id for definition in definitions}
        )
        what = f"{asked} names {spelled!r}, which is not a job"
        fix = did_you_mean(spelled, known, what="jobs are") or "there are no jobs"
        return [], [Problem(what=what, fix=fix)]
    if len(found.definitions) > 1:
        what = f"{asked} names {spelled!r}, which is more than one job"
        fix = f"write {asked} {found.definitions[0].id!r}"
        return [], [Problem(what=what, at=tuple(one.at for one in found.definitions), fix=fix)]
    return [instance.id for instance in found.instances()], []


@dataclass(frozen=True, slots=True)
class _Found:
    definitions: tuple[Definition, ...]
    only: str | None = None

    def instances(self) -> list[Instance]:
        (definition,) = self.definitions
        if self.only is None:
            return list(definition.instances)
        return [
            instance for instance in definition.instances if instance.id == f"{definition.id}[{self.only}]"
        ]


class _Unknown:
    pass


UNKNOWN = _Unknown()


class _Linker:
    def __init__(self, definitions: Sequence[Definition], fixtures: Collection[str]) -> None:
        self.problems: list[Problem] = []
        self._fixtures = fixtures
        self._by_name: dict[str, list[Definition]] = {}
        self._by_id = {definition.id: definition for definition in definitions}
        for definition in definitions:
            self._by_name.setdefault(definition.name, []).append(definition)
        self._labelled: dict[str, list[Definition]] = {}
        for definition in definitions:
            for key, value in definition.labels.items():
                self._labelled.setdefault(f"{LABEL}{key}={value}", []).append(definition)
        self._groups: dict[tuple[str, tuple[str, ...]], dict[tuple[object, ...], list[Instance]]] = {}

    def link(self, definition: Definition, links: dict[str, Links]) -> None:
        targets = [
            (reference, found)
            for reference in definition.references
            for found in self._targets(definition, reference)
            if reference.applies
        ]
        for instance in definition.instances:
            edges: dict[tuple[str, EdgeKind], Edge] = {}
            takes: list[Take] = []
            for reference, found in targets:
                matched, keys = self._join(definition, instance, reference, found)
                for upstream in matched:
                    edge = Edge(upstream.id, reference.kind, reference.at)
                    edges.setdefault((edge.upstream, edge.kind), edge)
                if reference.kind is EdgeKind.VALUE and matched:
                    takes.append(Take(reference.parameter, tuple(one.id for one in matched), keys))
            links[instance.id] = Links(tuple(edges.values()), tuple(takes))

    def resolve(self, spelled: str, path: str) -> _Found | _Unknown:
        """Return the definitions at the nearest distance that has any; more than one is to be refused."""
        bare, only = _split(spelled)
        if "::" in bare:
            definition = self._by_id.get(bare)
            found: tuple[Definition, ...] = (definition,) if definition else ()
        else:
            found = _nearest(self._by_name.get(bare.removeprefix("job_"), ()), path)
        if not found:
            return UNKNOWN
        result = _Found(found, only)
        return result if len(found) > 1 or result.instances() else UNKNOWN

    def _targets(self, definition: Definition, reference: Reference) -> Sequence[_Found]:
        if reference.kind is not EdgeKind.VALUE and reference.target.startswith(LABEL):
            labelled = self._labelled.get(reference.target, ())
            return [_Found((one,)) for one in labelled if one is not definition]
        found = self.resolve(reference.target, definition.path)
        if isinstance(found, _Unknown):
            self.problems.append(self._unknown(definition, reference))
            return ()
        if len(found.definitions) > 1:
            places = tuple(one.at for one in found.definitions)
            first = found.definitions[0].id
            key = reference.parameter or reference.target
            fix = f'say which: "{first}"'
            if reference.kind is EdgeKind.VALUE and definition.path.endswith(".py"):
                fix = f'say which: @pytest.mark.job(needs={{"{key}": "{first}"}})'
            elif reference.kind is EdgeKind.VALUE:
                fix = f'say which: needs = ["{first}"]'
            what = f"job {definition.name!r} asks for {reference.target!r}, which is more than one job"
            self.problems.append(Problem(what=what, at=(reference.at, *places), fix=fix))
            return ()
        return (found,)

    def _unknown(self, definition: Definition, reference: Reference) -> Problem:
        target = reference.target
        if reference.kind is EdgeKind.VALUE and "::" not in target:
            what = f"job {definition.name!r} asks for {target!r}, which is neither a job nor a fixture"
            known: Collection[str] = {*self._by_name, *self._fixtures} - {definition.name}
        else:
            verb = "comes after" if reference.kind is EdgeKind.AFTER else "needs"
            what = f"job {definition.name!r} {verb} {target!r}, which is not a job"
            known = {*self._by_name, *self._by_id} if "::" in target else self._by_name
        return Problem(what=what, at=(reference.at,), fix=self._suggest(target, known), tentative=True)

    def _suggest(self, target: str, known: Collection[str]) -> str:
        bare, only = _split(target)
        candidates = self._by_name.get(bare.removeprefix("job_"), [])
        if only is not None and candidates:
            ids = ", ".join(instance.id for instance in candidates[0].instances[:12])
            return f"its instances are: {ids}"
        what = "jobs are" if known is self._by_name else "jobs and fixtures are"
        fix = did_you_mean(bare.removeprefix("job_"), known, what=what)
        meant = fix.removeprefix("did you mean '").removesuffix("'?")
        if fix.startswith("did you mean") and meant in self._by_name:
            place = self._by_name[meant][0].at.split(" ")[0]
            return f"did you mean {meant!r} ({place})?"
        return fix

    def _join(
        self, definition: Definition, instance: Instance, reference: Reference, found: _Found
    ) -> tuple[Sequence[Instance], tuple[str, ...] | None]:
        (upstream,) = found.definitions
        if found.only is not None:
            return found.instances(), None
        first = upstream.instances[0]
        if not first.params:
            return (first,), None
        shared = tuple(name for name in first.params if name in instance.params)
        key = tuple(_exact(instance.params[name]) for name in shared)
        matched = self._grouped(upstream, shared).get(key, [])
        if not matched and reference.target.startswith(LABEL):
            return (), None
        if not matched:
            wanted = ", ".join(f"{name}={instance.params[name]!r}" for name in shared)
            has = ", ".join(one.id for one in upstream.instances[:12])
            what = f"job {instance.id!r} asks for {reference.target!r} with {wanted}, which does not exist"
            self.problems.append(
                Problem(what=what, at=(reference.at, upstream.at), fix=f"its instances are: {has}")
            )
            return (), None
        if len(shared) == len(first.params) and len(matched) == 1:
            return matched, None
        keys = tuple(_rest_id(one, shared) for one in matched)
        if len(set(keys)) != len(keys) and reference.kind is EdgeKind.VALUE:
            twice = next(one for one in keys if keys.count(one) > 1)
            gathers = f"job {definition.name!r} gathers {reference.target!r}"
            what = f"{gathers}, and two of its instances have the id {twice!r}"
            self.problems.append(
                Problem(what=what, at=(reference.at, upstream.at), fix="give them ids of their own")
            )
        return matched, keys

    def _grouped(
        self, upstream: Definition, shared: tuple[str, ...]
    ) -> dict[tuple[object, ...], list[Instance]]:
        cached = self._groups.get((upstream.id, shared))
        if cached is None:
            cached = {}
            for instance in upstream.instances:
                key = tuple(_exact(instance.params[name]) for name in shared)
                cached.setdefault(key, []).append(instance)
            self._groups[upstream.id, shared] = cached
        return cached


def _split(spelled: str) -> tuple[str, str | None]:
    if spelled.endswith("]") and "[" in spelled:
        bare, _, only = spelled[:-1].partition("[")
        return bare, only
    return spelled, None


def _exact(value: object) -> tuple[type, object]:
    """Return a key by which 1, 1.0 and True differ."""
    return type(value), value


def _rest_id(instance: Instance, shared: Iterable[str]) -> str:
    known = set(shared)
    return "-".join(text for names, text in instance.groups if not known.issuperset(names))


def _nearest(candidates: Sequence[Definition], path: str) -> tuple[Definition, ...]:
    if len(candidates) <= 1:
        return tuple(candidates)
    same = tuple(one for one in candidates if one.path == path)
    if same:
        return same
    by_folder: dict[str, list[Definition]] = {}
    for one in candidates:
        by_folder.setdefault(_folder(one.path), []).append(one)
    folder = _folder(path)
    while True:
        here = by_folder.get(folder)
        if here:
            return tuple(here)
        if not folder:
            return tuple(candidates)
        folder = _folder(folder)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
