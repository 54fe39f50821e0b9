"""Secrets are masked where pytest shows and reports: on the terminal, in reports, logs and errors.

What a job prints and what goes into the state is masked where it is taken in (`output`, `jobtest.engine`).
Without secrets nothing of this is there.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jobtest.config.secrets import Secrets
from jobtest.core.errors import Problem

if TYPE_CHECKING:
    from jobtest.core.model import Job

__all__ = ["Masking", "hide_secrets", "leaks", "mask_report", "mask_warning", "secrets_key", "secrets_of"]

secrets_key = pytest.StashKey[Secrets]()
NONE = Secrets()
PLAIN = (str, int, float, type(None))


def hide_secrets(config: pytest.Config, secrets: Secrets) -> None:
    """Mask secrets in whatever this session shows."""
    if secrets:
        config.stash[secrets_key] = secrets
        config.pluginmanager.register(Masking(config, secrets), "jobtest-masking")


def secrets_of(config: pytest.Config) -> Secrets:
    """Return the secrets of a session; maybe none."""
    return config.stash.get(secrets_key, NONE)


def leaks(jobs: Iterable[Job], secrets: Secrets) -> list[Problem]:
    """Return what is wrong with jobs that say a secret before they run: each id stands in many places."""
    problems = []
    for job in jobs if secrets else ():
        told = (job.id, job.name, job.description, job.at, job.exclusive, job.skip)
        values = [repr(one) for one in job.params.items()]
        found = next(filter(None, map(secrets.find, (*told, *values))), "")
        if found:
            what = f"{'parameters' if any(map(secrets.find, values)) else 'the text'} of job {job.label!r}"
            fix = "let it take the secret from the fixture params"
            problems.append(Problem(what=f"{what} hold the secret {found!r}", at=(job.at,), fix=fix))
    return problems


class Masking:
    """Masks what is shown of a session."""

    def __init__(self, config: pytest.Config, secrets: Secrets) -> None:
        self._config, self._secrets = config, secrets

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self) -> Generator[None]:
        """Mask what is written to the terminal from here on, whoever writes it."""
        if self._config.pluginmanager.has_plugin("terminalreporter"):
            writer: Any = self._config.get_terminal_writer()
            write, mask = writer.write, self._secrets.mask

            def masked(msg: str, **kwargs: Any) -> None:  # noqa: ANN401 - colours
                write(mask(msg), **kwargs)

            writer.write = masked
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Mask what ends the collection."""
        return (yield from self._told())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Mask what ends the run, and what is logged meanwhile to the terminal and to a file."""
        with _masked_logs(self._config, self._secrets.mask):
            return (yield from self._told())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> Generator[None]:
        """Mask what is wrong with the project, and what was printed while it was imported."""
        mask_report(report, self._secrets)
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None]:
        """Mask what fixtures of pytest put into JUnit past all reports, before it is written."""
        mask = self._secrets.mask
        for plugin in self._config.pluginmanager.get_plugins():
            properties = getattr(plugin, "global_properties", None)
            if isinstance(properties, list):
                properties[:] = map(self._secrets.masked, properties)
            for reporter in getattr(plugin, "node_reporters_ordered", ()):
                attributes = reporter.to_xml().attrib  # of a testcase that is complete, always the same
                attributes.update({name: mask(str(value)) for name, value in attributes.items()})
        yield

    def _told(self) -> Generator[None, object, object]:
        """Mask errors that pytest shows after it has ended its plugins."""
        try:
            return (yield)
        except pytest.UsageError as error:
            raise pytest.UsageError(*map(self._secrets.mask, map(str, error.args))) from None
        except pytest.exit.Exception as error:
            raise pytest.exit.Exception(self._secrets.mask(error.msg or ""), error.returncode) from None


def mask_report(report: pytest.TestReport | pytest.CollectReport, secrets: Secrets) -> None:
    """Mask what a report shows: error with locals, output, properties."""
    if secrets:
        for name in ("longrepr", "sections", "user_properties"):
            if name in report.__dict__:
                report.__dict__[name] = _masked(report.__dict__[name], secrets)


def _masked(shown: object, secrets: Secrets) -> object:
    """Return what is shown with its texts masked; of objects of pytest in place, as they were made for it."""
    holder = [shown]
    todo: list[tuple[Any, Any]] = [(holder, 0)]
    seen: set[int] = set()
    while todo:
        where, key = todo.pop()
        this = where[key]
        if isinstance(this, tuple) and all(isinstance(one, PLAIN) for one in this):
            where[key] = tuple(map(secrets.masked, this))
        elif isinstance(this, PLAIN):
            where[key] = secrets.masked(this)
        elif isinstance(this, list | tuple | dict):
            copy: Any = dict(this) if isinstance(this, dict) else list(this)
            where[key] = copy
            todo += ((copy, at) for at in (copy if isinstance(this, dict) else range(len(copy))))
        elif not _is_for_reports(this):
            where[key] = _masked_user(this, secrets)
        elif id(this) not in seen:
            seen.add(id(this))
            todo += ((this.__dict__, at) for at in this.__dict__)
    return holder[0]


def _is_for_reports(this: object) -> bool:
    made = type(this).__module__.startswith(("_pytest.", "jobtest.")) or isinstance(this, SimpleNamespace)
    return made and hasattr(this, "__dict__")


def _masked_user(this: object, secrets: Secrets) -> object:
    """Return an object of the user, or a text in its stead if it shows a secret."""
    try:
        said = str(this)
    except Exception:  # noqa: BLE001 - the user's `__str__` may raise anything
        return this
    return secrets.mask(said) if secrets.find(said) else this


def mask_warning(message: warnings.WarningMessage, secrets: Secrets) -> warnings.WarningMessage:
    """Return a warning whose text holds no secret."""
    said = str(message.message)
    masked = secrets.mask(said)
    if masked == said:
        return message
    category, text = message.category, Warning(masked)
    try:
        text = category(masked)
    except Exception:  # noqa: BLE001 - the user's class may want other arguments
        category = type(text)
    return warnings.WarningMessage(text, category, message.filename, message.lineno)


@contextmanager
def _masked_logs(config: pytest.Config, mask: Callable[[str], str]) -> Iterator[None]:
    """Mask what pytest's own handlers write: `log_cli`, `log_file`."""
    plugin = config.pluginmanager.get_plugin("logging-plugin")
    handlers = [getattr(plugin, name, None) for name in ("log_cli_handler", "log_file_handler")]
    found = [one for one in handlers if isinstance(one, logging.Handler)]
    before = [one.formatter for one in found]
    for handler, formatter in zip(found, before, strict=True):
        handler.setFormatter(_MaskedFormatter(formatter or logging.Formatter(), mask))
    try:
        yield
    finally:
        for handler, formatter in zip(found, before, strict=True):
            handler.setFormatter(formatter)


class _MaskedFormatter(logging.Formatter):
    def __init__(self, inner: logging.Formatter, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._inner, self._mask = inner, mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(self._inner.format(record))
