"""Secrets: which texts must not be seen, and how they are masked.

What lives here: text in, text out. What does not: where text goes; those who write it know.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from urllib.parse import quote, quote_plus

from jobtest.core.errors import Problem, UsageError, nearest

__all__ = ["MASK", "SHORTEST", "MaskedStream", "Secrets", "read_secrets"]

MASK = "***"
"""What stands where a secret was."""

SHORTEST = 4
"""Characters of the shortest secret: masking every `yes` or `eu` would make output unreadable."""

PART = 16
"""Characters from which a part of a secret is masked: pytest cuts what is long, and shows what differs."""

GRAM = PART // 2
"""Of `PART` characters that a text shares with a secret, so many begin at a place that divides by it."""

MOST_PLACES = 64
"""Places of one gram in one secret that are tried: a secret may be the same character a thousand times."""

CUTS = (("...", "..."), ("\n[", "left out here]\n"))
"""What stands after the beginning and before the end of a text whose middle was cut out."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Secrets:
    """Texts that must not be seen, in all forms that they commonly take.

    Args:
        values: The secrets by name. Of tables and lists each text and number is one.

    Without any, everything is returned as it is.
    """

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        self._names: dict[str, str] = {}
        self._cuts: dict[str, str] = {}
        self._grams: dict[str, list[tuple[str, int]]] = {}
        for name, value in (values or {}).items():
            for _, leaf in _leaves(name, value):
                self._learn(name, str(leaf))
        short = [form for form in self._names if len(form) < PART]
        long = [form for form in self._names if len(form) >= PART]
        for form in long:
            self._index(form)
        self._long = "\0".join(long)
        self._begins = {form[:size] for form in chain(short, self._cuts) for size in range(1, len(form))}
        self._longest = max(map(len, self._begins), default=0)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._names)

    def mask(self, text: str) -> str:
        """Return a text with each secret, and each part of one, replaced by `***`."""
        if not self._names or not text:
            return text
        if "\x1b[" in text:
            return self._mask_coloured(text)
        pieces, end = [], 0
        for start, stop, _ in self._merged(text):
            pieces += [text[end:start], MASK]
            end = stop
        return "".join([*pieces, text[end:]]) if pieces else text

    def find(self, text: str) -> str:
        """Return the name of a secret that a text holds, or empty."""
        return next((self._name(form) for _, _, form in self._spans(text)), "") if self._names else ""

    def masked(self, data: object) -> object:
        """Return JSON data with each text masked; a number that is a secret becomes `***`."""
        if not self._names:
            return data
        made: list[object] = []
        todo: list[tuple[object, Callable[[object], None]]] = [(data, made.append)]
        while todo:
            this, put = todo.pop()
            if isinstance(this, dict):
                inside: dict[object, object] = {}
                put(inside)
                for key, item in this.items():
                    shown = self.mask(key) if isinstance(key, str) else key
                    inside[shown] = None
                    todo.append((item, lambda one, d=inside, k=shown: d.__setitem__(k, one)))  # type: ignore[misc]  # a lambda
            elif isinstance(this, list | tuple):
                items: list[object] = []
                put(items)
                todo += [(item, items.append) for item in reversed(this)]
            elif isinstance(this, str):
                put(self.mask(this))
            else:
                number = isinstance(this, int | float) and not isinstance(this, bool)
                put(MASK if number and str(this) in self._names else this)
        return made[0]

    def problem(self, problem: Problem) -> Problem:
        """Return a problem as it may be told."""
        if not self._names:
            return problem
        mask = self.mask
        return replace(
            problem, what=mask(problem.what), at=tuple(map(mask, problem.at)), fix=mask(problem.fix)
        )

    def stream(self) -> MaskedStream:
        """Return what masks a text that comes in pieces."""
        return MaskedStream(self)

    def cut(self, text: str) -> tuple[str, str]:
        """Return a text masked as far as what follows cannot change it, and the rest as it is."""
        held = len(text) - self._open(text)
        for start, stop, _ in reversed(self._merged(text)):
            if start < held < stop:
                held = start
        return self.mask(text[:held]), text[held:]

    # --- forms ---

    def _learn(self, name: str, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        for one in [line for line in dict.fromkeys(lines) if len(line) >= SHORTEST] or [text]:
            for form in _written(one):
                self._names.setdefault(form, name)
                self._learn_cuts(name, form)
        for form in _encoded(text):
            self._names.setdefault(form, name)

    def _learn_cuts(self, name: str, form: str) -> None:
        for size in range(SHORTEST, min(len(form), PART)):
            for after, before in CUTS:
                self._cuts.setdefault(form[:size] + after, name)
                self._cuts.setdefault(before + form[-size:], name)

    def _index(self, form: str) -> None:
        for at in range(len(form) - GRAM + 1):
            places = self._grams.setdefault(form[at : at + GRAM], [])
            if sum(one == form for one, _ in places) < MOST_PLACES:
                places.append((form, at))

    def _name(self, form: str) -> str:
        return self._names.get(form) or self._cuts[form]

    # --- finding ---

    def _open(self, text: str) -> int:
        """Return how many characters at the end may be, with what follows, a form or a part of a long one."""
        size = 0
        while size < len(text) and text[-size - 1 :] in self._long:
            size += 1
        for one in range(min(self._longest, len(text)), size, -1):
            if text[-one:] in self._begins:
                return one
        return size

    def _merged(self, text: str) -> list[tuple[int, int, str]]:
        """Return where secrets are; those that overlap are one."""
        merged: list[tuple[int, int, str]] = []
        for start, stop, form in sorted(self._spans(text)):
            if merged and start < merged[-1][1]:
                if stop > merged[-1][1]:
                    merged[-1] = (merged[-1][0], stop, form)
            else:
                merged.append((start, stop, form))
        return merged

    def _spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        yield from _all_of(self._names, text)
        if self._grams:
            yield from self._parts(text)
        if any(after in text or before in text for after, before in CUTS):
            yield from _all_of(self._cuts, text)

    def _parts(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Find what a text has in common with a long secret, looking at every eighth place only."""
        known: dict[tuple[str, int], int] = {}  # by how a form lies on the text: to where that was followed
        for at in range(0, len(text) - GRAM + 1, GRAM):
            for form, offset in self._grams.get(text[at : at + GRAM], ()):
                if known.get((form, at - offset), -1) <= at:
                    start, stop = _common(text, at, form, offset)
                    known[form, at - offset] = stop
                    if stop - start >= PART:
                        yield start, stop, form

    def _mask_coloured(self, text: str) -> str:
        """Mask what colours are in the middle of: highlighting has its own idea of what belongs together."""
        at: list[int] = []
        end = 0
        for code in _COLOUR.finditer(text):
            at += range(end, code.start())
            end = code.end()
        at += range(end, len(text))
        pieces, end = [], 0
        for start, stop, _ in self._merged("".join([text[place] for place in at])):
            covered = text[at[start] : at[stop - 1] + 1]
            pieces += [text[end : at[start]], MASK, *_COLOUR.findall(covered)]
            end = at[stop - 1] + 1
        return "".join([*pieces, text[end:]])


class MaskedStream:
    """Masks a text that comes in pieces: what may be the beginning of a secret waits for the next piece."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._rest = secrets, ""

    def feed(self, text: str) -> str:
        """Take in a piece; return what can be shown."""
        shown, self._rest = self._secrets.cut(self._rest + text)
        return shown

    def close(self) -> str:
        """Return the rest: nothing follows."""
        rest, self._rest = self._rest, ""
        return self._secrets.mask(rest)


def _all_of(forms: Collection[str], text: str) -> Iterator[tuple[int, int, str]]:
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form), form
            at = text.find(form, at + 1)


def _common(text: str, at: int, form: str, offset: int) -> tuple[int, int]:
    """Return from where to where a text is like a form, whose `offset` lies at `at`."""
    start, first = at, offset
    while start and first and text[start - 1] == form[first - 1]:
        start, first = start - 1, first - 1
    stop, last = at + GRAM, offset + GRAM
    while stop < len(text) and last < len(form) and text[stop] == form[last]:
        stop, last = stop + 1, last + 1
    return start, stop


def _written(text: str) -> list[str]:
    """Return how a text looks in code, data, addresses, markup and command lines."""
    escaped = [form for form in _escaped(text) if form != text]
    forms = [
        text,
        *escaped,
        *(twice for form in escaped for twice in _escaped(form)),
        *(repr(data)[2:-1] for data in _bytes(text)),
        *(data.decode(errors="replace") for data in _bytes(text)),
        *(_quoted(text)),
        html.escape(text),
        html.escape(text, quote=False),
        shlex.quote(text).strip("'"),
        text.replace("'", "'\\''"),
    ]
    return list(dict.fromkeys(forms))


def _escaped(text: str) -> list[str]:
    in_single = repr("'\"" + text)[4:-1]  # as in a longer text that has both kinds of quotes
    in_ascii = text.encode("ascii", "backslashreplace").decode()  # as stderr writes it in such a locale
    in_json = [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
    return [repr(text)[1:-1], ascii(text)[1:-1], in_single, in_ascii, *in_json]


def _bytes(text: str) -> Iterator[bytes]:
    """Yield a text in UTF-8, and in Latin-1 as headers of HTTP have it, if that is something else."""
    yield text.encode(errors="surrogateescape")
    with suppress(UnicodeEncodeError):
        if not text.isascii():
            yield text.encode("latin-1")


def _quoted(text: str) -> Iterator[str]:
    for data in _bytes(text):
        for form in (quote(data), quote(data, safe=""), quote_plus(data)):
            yield form
            yield re.sub("%..", lambda code: code[0].lower(), form)


def _encoded(text: str) -> Iterator[str]:
    """Return how a text looks in hexadecimal, and in base64 also as a part: `user:secret` of basic auth."""
    for data in _bytes(text) if len(text) >= SHORTEST else ():
        yield from (data.hex(), data.hex().upper(), b64encode(data).decode())
        for before, shared in ((0, 0), (1, 2), (2, 3)):
            whole = (before + len(data)) * 8 // 6
            inner = b64encode(b"\0" * before + data).decode()[shared:whole]
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))


def _leaves(name: str, value: object, shortest: int = SHORTEST) -> Iterator[tuple[str, object]]:
    """Return the texts and numbers of a value that can be masked, with their names."""
    todo = [(name, value)]
    while todo:
        at, this = todo.pop()
        if isinstance(this, Mapping):
            todo += [(f"{at}.{key}", item) for key, item in this.items()]
        elif isinstance(this, list | tuple):
            todo += [(f"{at}[{number}]", item) for number, item in enumerate(this)]
        elif this is not None and not isinstance(this, bool) and len(str(this)) >= shortest:
            yield at, this


# --- settings ---


def read_secrets(
    names: Collection[str], params: Mapping[str, object], environ: Mapping[str, str], source: str
) -> Secrets:
    """Return the secrets that settings name.

    Args:
        names: Parameters, `password` or of a table `db.password`, and variables, `env:DB_PASSWORD`. With a
            `?` at the end it may be missing.
        params: The parameters of the run.
        environ: The variables.
        source: Where the names come from, for messages.

    Raises:
        UsageError: a name that nothing has, as it would mask nothing; a value that cannot be masked.
    """
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for given in names:
        name = given.removesuffix("?")
        variable = name.removeprefix("env:") if name.startswith("env:") else ""
        found = [environ[variable]] if variable in environ else [] if variable else _of_params(name, params)
        if found:
            problems += [problem for one in found for problem in _too_short(name, one, source)]
            values[name] = found
        elif given == name:
            known = [f"env:{one}" for one in environ] if variable else _all_names(params)
            problems.append(_missing(name, known, source))
    if problems:
        raise UsageError(problems)
    return Secrets(values)


def _of_params(name: str, params: Mapping[str, object]) -> list[object]:
    found = [params[name]] if name in params else []
    this: object = params
    for key in name.split("."):
        if not isinstance(this, Mapping) or key not in this:
            return found
        this = this[key]
    return found or [this]


def _all_names(params: Mapping[str, object]) -> list[str]:
    names: list[str] = []
    todo: list[tuple[str, object]] = [(str(key), value) for key, value in params.items()]
    while todo:
        name, value = todo.pop()
        names.append(name)
        if isinstance(value, Mapping):
            todo += [(f"{name}.{key}", item) for key, item in value.items()]
    return names


def _missing(name: str, known: Collection[str], source: str) -> Problem:
    what = f"secret {name!r} is the name of no {'variable' if name.startswith('env:') else 'parameter'}"
    close = nearest(name, known)
    fix = f"did you mean {close!r}? " if close else ""
    return Problem(what=what, at=(source,), fix=f'{fix}If it may be missing, write "{name}?"')


def _too_short(name: str, value: object, source: str) -> Iterator[Problem]:
    """Yield why a value cannot be masked; empty texts and, in tables, what is no text are passed over."""
    inside = isinstance(value, Mapping | list | tuple)
    for at, leaf in _leaves(name, value, shortest=1):
        if len(str(leaf)) < SHORTEST and (isinstance(leaf, str) or not inside):
            what = f"secret {at!r} has {len(str(leaf))} characters, and masking them would hide everything"
            yield Problem(what=what, at=(source,), fix=f"a secret has at least {SHORTEST} characters")
    if isinstance(value, bool):
        what = f"secret {name!r} is true or false, which cannot be masked"
        yield Problem(what=what, at=(source,), fix="name a parameter that is a text")
