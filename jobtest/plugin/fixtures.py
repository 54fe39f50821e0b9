"""Fixtures for jobs that run side by side. The only file that uses private names of pytest; see `PRIVATE`.

pytest sets up one test at a time: its `SetupState` is one stack, and a fixture's value sits in its shared
`FixtureDef`. Here instead:

* `JobSetupState` keeps a tree: a collector is set up for the first job below it that needs it, and torn down
  after the
  last one; each job has its own level.
* Every attempt looks names up in its own `AttemptFixtures`, which gives it a copy of each function-scope
  definition,
  made on first use. Wider fixtures get one copy for each scope node and each combination of parameters and
  jobs' values that can be seen below it, shared by all attempts.

All functions are called on the main thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from _pytest import assertion as _assertion
from _pytest import capture as _capture
from _pytest import fixtures as _fixtures
from _pytest import logging as _logging
from _pytest import main as _main
from _pytest import python as _python
from _pytest import skipping as _skipping
from _pytest import tmpdir as _tmpdir
from _pytest import warnings as _warnings
from _pytest.outcomes import Skipped
from _pytest.scope import Scope

from jobtest.plugin.setup_state import JobSetupState

if TYPE_CHECKING:
    from jobtest.plugin.items import JobItem

__all__ = [
    "PRIVATE",
    "AttemptFixtures",
    "QuietHooks",
    "Registry",
    "Shared",
    "again",
    "all_names",
    "assertion_details",
    "autouse_names",
    "begin",
    "caplog_handler",
    "closure",
    "define",
    "filter_warnings",
    "forget",
    "has_mark",
    "id_list",
    "is_fixture",
    "known",
    "own_arguments",
    "parametrize",
    "replace_setup_state",
    "saved_by_capture",
    "skip_here",
    "skip_reason",
    "tell_result",
    "warnings_for",
]

PRIVATE: Mapping[str, tuple[object, str]] = {
    "the protocol wrapper that explains comparisons": (_assertion, "pytest_runtest_protocol"),
    "the closure of fixture names": (_fixtures.FixtureManager, "getfixtureclosure"),
    "the definitions of a name": (_fixtures.FixtureManager, "getfixturedefs"),
    "what an item knows of its fixtures": (_fixtures, "FuncFixtureInfo"),
    "the node of a scope": (_fixtures, "get_scope_node"),
    "the node of package scope": (_fixtures, "get_scope_package"),
    "the request of an item": (_fixtures, "TopRequest"),
    "the names that are parametrised directly": (_fixtures, "_get_direct_parametrize_args"),
    "the autouse fixtures of a node": (_fixtures.FixtureManager, "_getautousenames"),
    "the definition of a function": (_python, "FunctionDefinition"),
    "parametrisation": (_python, "Metafunc"),
    "the import of a module": (_python.Module, "_getobj"),
    "what is shown of a traceback": (_python.Function, "_traceback_filter"),
    "the hooks of a folder": (_main, "FSHookProxy"),
    "the evaluation of skip marks": (_skipping, "evaluate_skip_marks"),
    "what tmp_path asks at its end": (_tmpdir, "tmppath_result_key"),
    "the capture of the session": (_capture.CaptureManager, "start_global_capturing"),
    "the records of caplog": (_logging, "caplog_records_key"),
    "the handler of caplog": (_logging, "caplog_handler_key"),
    "filters of warnings": (_warnings, "catch_warnings_for_item"),
}
"""Every private name in use, and what for; a test asks whether they are there."""


class Shared:
    """Stands for a job where a fixture is looked up: its value is known."""

    def __init__(self, template: pytest.FixtureDef[object]) -> None:
        self._template = template

    def __call__(self, name: str, value: object) -> pytest.FixtureDef[object]:
        """Return a definition of widest scope that is set up already."""
        definition = _copy(self._template)
        definition.argname = name  # type: ignore[misc]  # final for its users, and this is a new one
        definition.cached_result = (value, None, None)
        return definition


def _copy(definition: pytest.FixtureDef[Any]) -> pytest.FixtureDef[Any]:
    new = object.__new__(type(definition))
    new.__dict__.update(definition.__dict__)
    new.cached_result = None
    new._finalizers = []  # type: ignore[misc]  # as above
    return new


class Registry:
    """The copies of wider fixtures of a session.

    Args:
        session: The session.
        template: Name of a session fixture without parameters, of which the values of jobs are made.
    """

    def __init__(self, session: pytest.Session, template: str) -> None:
        self.manager = session._fixturemanager
        found = self.manager.getfixturedefs(template, session)
        assert found, template
        self.shared = Shared(found[-1])
        self._copies: dict[tuple[object, ...], pytest.FixtureDef[Any]] = {}
        self._reach: dict[tuple[int, str], frozenset[str]] = {}
        self._kept: list[object] = []

    def definitions(self, item: JobItem, name: str) -> Sequence[pytest.FixtureDef[Any]] | None:
        """Return the definitions of a name that an item sees, widest first."""
        found: Sequence[pytest.FixtureDef[Any]] | None = item._fixtureinfo.name2fixturedefs.get(name)
        return found or self.manager.getfixturedefs(name, item)

    def instance(
        self, item: JobItem, definition: pytest.FixtureDef[Any], takes: Mapping[str, tuple[str, ...]]
    ) -> pytest.FixtureDef[Any]:
        """Return the copy of a definition for an item; a new one for function scope.

        Args:
            item: Who asks.
            definition: Of what.
            takes: From the names of jobs that the item takes to the ids it takes them from.
        """
        spec = getattr(item, "callspec", None)
        name = definition.argname
        scope = spec._arg2scope.get(name, definition._scope) if spec is not None else definition._scope
        node = self._scope_node(item, definition, scope)
        if node is None or node is item:
            return _copy(definition)
        key: tuple[object, ...] = (id(definition), id(node))
        if spec is not None or takes:
            reach = self._reachable(item, name)
            params = spec.params if spec is not None else {}
            key += tuple((n, _param_key(params[n])) for n in params if n in reach)
            key += tuple((n, takes[n]) for n in takes if n in reach)
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = _copy(definition)
            self._kept.append((definition, node))
        return copy

    @staticmethod
    def _scope_node(item: JobItem, definition: pytest.FixtureDef[Any], scope: Scope) -> pytest.Item | Any:
        if scope is Scope.Function:
            return item
        if scope is Scope.Session:
            return item.session
        if scope is Scope.Package:
            return _fixtures.get_scope_package(item, definition)
        return _fixtures.get_scope_node(item, scope)

    def _reachable(self, item: JobItem, name: str) -> frozenset[str]:
        """Return the names that a fixture may ask for, over others, itself included."""
        key = (id(item._fixtureinfo), name)
        reach = self._reach.get(key)
        if reach is None:
            seen = {name}
            todo = [name]
            while todo:
                for definition in self.definitions(item, todo.pop()) or ():
                    new = [asked for asked in definition.argnames if asked not in seen]
                    seen.update(new)
                    todo += new
            reach = self._reach[key] = frozenset(seen)
            self._kept.append(item._fixtureinfo)
        return reach


def _param_key(value: object) -> tuple[object, object]:
    try:
        hash(value)
    except TypeError:
        return "id", id(value)
    return type(value), value


class AttemptFixtures(dict[str, Sequence[pytest.FixtureDef[Any]]]):
    """From names to definitions, for one attempt of one job; filled on first use.

    Args:
        item: The job.
        registry: Of the session.
        takes: From the names of jobs that the item takes to the ids it takes them from.
        refuse: Is asked about names that are no fixtures; raises to say more than pytest would.
    """

    def __init__(
        self,
        item: JobItem,
        registry: Registry,
        takes: Mapping[str, tuple[str, ...]],
        refuse: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._item, self._registry, self._takes, self._refuse = item, registry, takes, refuse

    def offer(self, name: str, value: object) -> None:
        """Let a name stand for the value of a job."""
        self[name] = (self._registry.shared(name, value),)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the definitions of a name, widest first."""
        found = super().get(name)
        if found is None:
            visible = self._registry.definitions(self._item, name)
            if not visible:
                self._refuse(name)
                return default
            found = [self._registry.instance(self._item, definition, self._takes) for definition in visible]
            self[name] = found
        return found


class _JobRequest(_fixtures.TopRequest):  # type: ignore[misc]  # final for its users
    """The `request` of a job. Asked from a worker thread, it has the fixture set up on the main thread."""

    def __init__(self, item: JobItem, on_main: Callable[[Callable[[], Any]], Any]) -> None:
        super().__init__(item, _ispytest=True)
        self._on_main = on_main

    def getfixturevalue(self, argname: str) -> Any:
        ask = super().getfixturevalue
        if threading.current_thread() is threading.main_thread():
            return ask(argname)
        return self._on_main(lambda: ask(argname))


def begin(
    item: JobItem, fixtures: AttemptFixtures, on_main: Callable[[Callable[[], Any]], Any]
) -> pytest.FixtureRequest:
    """Give an item a fresh request whose fixtures are those of an attempt."""
    item.funcargs = {}
    request = _JobRequest(item, on_main)
    request._arg2fixturedefs = fixtures  # type: ignore[misc]  # final for its users
    item._request = request
    item.stash[_tmpdir.tmppath_result_key] = {}
    return request


def own_arguments(definition: Any) -> tuple[str, ...]:
    """Return the names of the parameters of the function that a definition stands for."""
    found: tuple[str, ...] = definition._fixtureinfo.argnames
    return found


def forget(item: JobItem) -> None:
    """Let go of what an item asked for, as pytest does after its protocol."""
    item._request = False  # type: ignore[assignment]  # so does pytest
    item.funcargs = None  # type: ignore[assignment]  # so does pytest


def again(item: JobItem) -> None:
    """Make an item fit to go through pytest's protocol, which takes its request away."""
    if not getattr(item, "_request", None):
        item._initrequest()
    item.stash[_tmpdir.tmppath_result_key] = {}


def tell_result(item: JobItem, *, passed: bool) -> None:
    """Tell `tmp_path` at its teardown whether its folder is that of a failure."""
    item.stash[_tmpdir.tmppath_result_key] = {"call": passed}


def filter_warnings(item: JobItem, state: JobSetupState) -> None:
    """Apply the warning filters of an item's marks, if it has some, until its own level is torn down."""
    if next(item.iter_markers("filterwarnings"), None) is not None:
        applied = warnings_for(item.config, item)
        applied.__enter__()
        state.addfinalizer(lambda: applied.__exit__(None, None, None), item)


class QuietHooks:
    """The hooks that an item sees, but for pytest's capture: other jobs print while one is replayed."""

    def __init__(self, item: JobItem) -> None:
        self._manager = item.config.pluginmanager
        hidden = getattr(item.ihook, "remove_mods", ())
        self._without = [*hidden, self._manager.get_plugin("capturemanager")]

    def __getattr__(self, name: str) -> object:
        caller = self._manager.subset_hook_caller(name, remove_plugins=self._without)
        self.__dict__[name] = caller
        return caller


def replace_setup_state(session: pytest.Session) -> JobSetupState:
    """Put a `JobSetupState` where pytest has its own."""
    state = JobSetupState()
    session._setupstate = state  # type: ignore[assignment]  # it has the methods that pytest calls
    return state


# --- collection ---


def closure(
    definition: Any, names: Sequence[str]
) -> tuple[list[str], dict[str, Sequence[pytest.FixtureDef[Any]]]]:
    """Return the names that are set up for `names`, in pytest's order, and the fixtures they mean."""
    manager = definition.session._fixturemanager
    info = definition._fixtureinfo
    if tuple(names) == info.initialnames:
        return info.names_closure, info.name2fixturedefs
    ignored = _fixtures._get_direct_parametrize_args(definition)
    found: tuple[list[str], dict[str, Any]] = manager.getfixtureclosure(
        parentnode=definition, initialnames=tuple(dict.fromkeys(names)), ignore_args=ignored
    )
    return found


def is_fixture(node: pytest.Collector, name: str) -> bool:
    """Tell whether a node sees a fixture of that name."""
    return name == "request" or bool(node.session._fixturemanager.getfixturedefs(name, node))


def define(parent: pytest.Module, name: str, function: Callable[..., object]) -> pytest.Function:
    """Return the node that stands for a function before it is parametrised."""
    made: pytest.Function = _python.FunctionDefinition.from_parent(parent, name=name, callobj=function)
    return made


def all_names(session: pytest.Session) -> list[str]:
    """Return the names of all fixtures there are, visible or not; for suggestions only, so none is needed."""
    tables = ("_arg2fixturedefs", "_arg2node2fixturedefs", "_arg2nodeid2fixturedefs")
    found = [name for table in tables for name in getattr(session._fixturemanager, table, ())]
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


def autouse_names(node: pytest.Collector) -> list[str]:
    """Return the names of the autouse fixtures that a node sees."""
    return list(dict.fromkeys(node.session._fixturemanager._getautousenames(node)))


def parametrize(
    definition: Any, names: Sequence[str], marked: bool
) -> tuple[Any, list[Any], list[tuple[str, ...]]]:
    """Return the fixture information of a definition that asks for `names`, and its call specifications.

    Returns:
        The fixture information to give to items, the call specifications (none if not parametrised), and the
        names that were parametrised together, one tuple for each call of `parametrize`.
    """
    info = definition._fixtureinfo
    extra = [name for name in names if name not in info.initialnames]
    if extra:
        initial = (*info.initialnames, *extra)
        names_closure, definitions = closure(definition, initial)
        argnames = (*info.argnames, *(name for name in extra if name not in info.argnames))
        info = _fixtures.FuncFixtureInfo(argnames, initial, names_closure, definitions)
    if not (marked or info.names_closure or _generates(definition)):
        return info, [], []
    module = definition.getparent(pytest.Module)
    assert module is not None
    metafunc = _python.Metafunc(
        definition=definition, fixtureinfo=info, config=definition.config, module=module.obj, _ispytest=True
    )
    groups: list[tuple[str, ...]] = []
    original = metafunc.parametrize

    def recorded(argnames: Any, *args: Any, **kwargs: Any) -> None:
        split = [one.strip() for one in argnames.split(",")] if isinstance(argnames, str) else argnames
        groups.append(tuple(one for one in split if one))
        original(argnames, *args, **kwargs)

    metafunc.parametrize = recorded  # type: ignore[method-assign]  # to see what is parametrised together
    hooks = [module.obj.pytest_generate_tests] if hasattr(module.obj, "pytest_generate_tests") else []
    definition.ihook.pytest_generate_tests.call_extra(hooks, {"metafunc": metafunc})
    if metafunc._calls:
        if hasattr(metafunc, "_recompute_direct_params_indices"):  # since pytest 8.0, gone from none we know
            metafunc._recompute_direct_params_indices()
        info.prune_dependency_tree()
    return info, list(metafunc._calls), groups


def _generates(definition: Any) -> bool:
    """Tell whether somebody but pytest generates tests; asking is dear, and for most jobs in vain."""
    known = {"python", "funcmanage"}
    impls = definition.ihook.pytest_generate_tests.get_hookimpls()
    return any(impl.plugin_name not in known for impl in impls) or hasattr(
        definition.module, "pytest_generate_tests"
    )


def id_list(callspec: Any) -> list[str]:
    """Return the ids of a call specification, one for each call of `parametrize` that shows one.

    pytest escapes what is not ASCII in ids; as keys of a dict they are what the user wrote.
    """
    return [_unescaped(one) for one in callspec._idlist]


def _unescaped(id: str) -> str:
    try:
        return id.encode("ascii").decode("unicode_escape")
    except UnicodeError:
        return id


def known(item: pytest.Function) -> Mapping[str, Sequence[pytest.FixtureDef[Any]]]:
    """Return the fixtures that an item is known to ask for, by name, widest first."""
    found: Mapping[str, Sequence[pytest.FixtureDef[Any]]] = item._fixtureinfo.name2fixturedefs
    return found


def has_mark(item: JobItem, name: str) -> bool:
    """Tell whether an item has a mark: of its function, from above, of its parameters, or given by a hook."""
    return name in item.source.marked or any(mark.name == name for mark in item.own_markers)


def skip_reason(item: JobItem) -> str:
    """Return why the marks of an item skip it, or empty."""
    if not has_mark(item, "skip") and not has_mark(item, "skipif"):
        return ""
    skipped = _skipping.evaluate_skip_marks(item)
    return "" if skipped is None else (skipped.reason or "skip mark")


# --- what pytest sets around a test, around the run ---


def saved_by_capture(config: pytest.Config) -> list[int]:
    """Return the descriptors from which pytest's capture restores 1 and 2 whenever it pauses."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    capturing: Any = manager._global_capturing if manager is not None else None
    found = (
        [getattr(part, "targetfd_save", None) for part in (capturing.out, capturing.err)] if capturing else []
    )
    return [fd for fd in found if isinstance(fd, int)]


def skip_here(reason: str) -> BaseException:
    """Return the exception that skips an item, shown at the place of the item."""
    return Skipped(reason, _use_item_location=True)


@contextmanager
def assertion_details(item: pytest.Item) -> Generator[None]:
    """Explain comparisons in failing asserts, on all threads; `item` lends its hooks."""
    wrapper = _assertion.pytest_runtest_protocol(item)
    next(wrapper)
    try:
        yield
    finally:
        wrapper.close()


@contextmanager
def warnings_for(config: pytest.Config, item: pytest.Item | None = None) -> Generator[None]:
    """Apply the warning filters of the project, and those of an item's marks."""
    with _warnings.catch_warnings_for_item(config=config, ihook=config.hook, when="runtest", item=item):
        yield


@contextmanager
def caplog_handler(item: pytest.Item) -> Generator[None]:
    """Let `caplog` see what is logged meanwhile."""
    plugin = item.config.pluginmanager.get_plugin("logging-plugin")
    if plugin is None or "caplog" not in item.fixturenames:  # type: ignore[attr-defined]  # a job is a function item
        yield
        return
    if _logging.caplog_records_key not in item.stash:
        item.stash[_logging.caplog_records_key] = {}
        plugin.caplog_handler.reset()
    with _logging.catching_logs(plugin.caplog_handler, level=plugin.log_level) as handler:
        item.stash[_logging.caplog_records_key]["call"] = handler.records
        item.stash[_logging.caplog_handler_key] = handler
        yield
