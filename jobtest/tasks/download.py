"""Task type `download`: a file from a URL, there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from jobtest.core.errors import Problem, did_you_mean
from jobtest.tasks import NotAsWanted, TaskFailed
from jobtest.tasks.files import described, place_of, put_in_place, remove, replacing

__all__ = ["check_task_download", "delete_task_download", "describe_task_download", "task_download"]

SCHEMES = ("http", "https", "file")
LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Algorithms of a checksum, with the number of hexadecimal digits of each."""

CHUNK = 1 << 16
FULL, PARTIAL, RANGE_REFUSED = 200, 206, 416
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A download that was begun: from where, and what marks this version of the file there."""

    url: str
    validator: str


class _StaleError(Exception):
    """What is there of a file cannot be gone on with: it is another one now."""


def task_download(url: str, target_file_path: Path, checksum: str | None = None, timeout: float = 60) -> None:
    """Fetch a file by http or https, or copy one by `file:///`.

    What has come is kept beside the target, with the ending `.part`, and takes its place when it is whole and
    has the checksum. After an interruption the next attempt goes on from there if the server can tell that
    the file is still the same, and begins again if not. Redirections are followed to http and https alone.
    Folders that are missing are made.

    Args:
        url: Where it is: `http://`, `https://` or `file:///`.
        target_file_path: The file to write.
        checksum: What it must be, like "sha256:9f86d0...": sha256, sha384 or sha512. Without it the check is
            only that a file is there.
        timeout: Seconds without an answer, or without another byte, after which it fails.

    Example:
        [[job]]
        name = "model"
        task = "download"
        args = { url = "https://example.org/model.bin", target_file_path = "data/model.bin", checksum = \
"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
        retries = 3
    """
    _refuse_checksum(checksum)
    scheme = _refuse_url(url)
    if not timeout > 0:
        raise _failed(f"timeout = {timeout!r} is no time to wait", "", "give seconds above 0")
    if scheme == "file":
        _copy(url, target_file_path, checksum)
        return
    place = place_of(target_file_path)
    part = _beside(place, ".part")
    with _told(url, target_file_path):
        _fetch(url, part, timeout)
    with part.open("rb") as stream:
        differs = _differs(stream, checksum)
    if differs:
        part.unlink()
        raise _failed(
            f"what came from {url} is another file: {differs}", target_file_path, "see url and checksum"
        )
    with _told(url, target_file_path):
        put_in_place(part, place)


def check_task_download(target_file_path: Path, checksum: str | None = None) -> None:
    """The file is there and, if one is given, has the checksum.

    Args:
        target_file_path: As for the task.
        checksum: As for the task.
    """
    _refuse_checksum(checksum)
    if not target_file_path.is_file():
        raise NotAsWanted(f"'{target_file_path}' is not there")
    with target_file_path.open("rb") as stream:
        differs = _differs(stream, checksum)
    if differs:
        raise NotAsWanted(f"'{target_file_path}' is another file: {differs}")


def describe_task_download(target_file_path: Path) -> dict[str, object]:
    """`path`, `exists`, `bytes` and `sha256` of the file.

    Args:
        target_file_path: As for the task.
    """
    return described(target_file_path)


def delete_task_download(target_file_path: Path) -> None:
    """Deletes the file, and what is there of one that is not whole.

    Args:
        target_file_path: As for the task.
    """
    place = Path(os.path.realpath(target_file_path))
    for path in (_beside(place, ".part"), _beside(place, ".part.json"), target_file_path):
        remove(path)


# --- what is asked for ---


def _refuse_url(url: str) -> str:
    """Return the scheme of a URL that can be fetched.

    Raises:
        TaskFailed: it cannot.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _failed(
            f"url = {url!r} is none: {error}", "", "write it like https://example.org/file"
        ) from error
    if parts.scheme not in SCHEMES:
        raise _failed(
            f"url = {url!r} is not one of {', '.join(SCHEMES)}", "", did_you_mean(parts.scheme, SCHEMES)
        )
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise _failed(
            f"url = {url!r} is no file of this machine", "", "write file:///, then the absolute path"
        )
    if parts.scheme != "file" and not parts.hostname:
        raise _failed(f"url = {url!r} names no host", "", "write it like https://example.org/file")
    if parts.username is not None:
        fix = "take it out of the URL; a shell job with a program that reads a netrc file can sign in"
        raise _failed(f"url for {parts.hostname!r} holds a user name or a password", "", fix)
    return parts.scheme


def _refuse_checksum(checksum: str | None) -> None:
    if checksum is None:
        return
    algorithm, _, digits = checksum.partition(":")
    if not re.fullmatch(r"[0-9a-fA-F]+", digits) or len(digits) != LENGTHS.get(algorithm):
        forms = ", ".join(f"{name}: and {count} hexadecimal digits" for name, count in LENGTHS.items())
        raise _failed(f"checksum = {checksum!r} is none", "", f"write {forms}")


def _differs(stream: BufferedReader, checksum: str | None) -> str:
    """Return how the checksum of a file differs from that which it must have; nothing if it does not."""
    if checksum is None:
        return ""
    algorithm, _, wanted = checksum.partition(":")
    there = hashlib.file_digest(stream, algorithm).hexdigest()
    return "" if there == wanted.lower() else f"its {algorithm} is {there}, not {wanted.lower()}"


# --- file ---


def _copy(url: str, target: Path, checksum: str | None) -> None:
    source = Path(urllib.request.url2pathname(urlsplit(url).path))
    with _told(url, source), source.open("rb") as stream:
        differs = _differs(stream, checksum)
        if differs:
            raise _failed(f"{url} is another file: {differs}", source, "see url and checksum")
        stream.seek(0)
        with replacing(target) as copy:
            shutil.copyfileobj(stream, copy)


# --- http ---


def _fetch(url: str, part: Path, timeout: float) -> None:
    """Complete a part, going on where it ends if that can be."""
    note = _beside(part, ".json")
    begun = _read_note(note, url) if part.is_file() else None
    if begun is not None:
        try:
            _receive(url, part, note, begun, timeout)
        except _StaleError:
            begun = None
    if begun is None:
        _receive(url, part, note, None, timeout)
    note.unlink(missing_ok=True)


def _receive(url: str, part: Path, note: Path, begun: _Begun | None, timeout: float) -> None:
    """Fetch a file, or the rest of it.

    Raises:
        _StaleError: the rest of it cannot be had.
        TaskFailed: less has come than was announced.
    """
    there = part.stat().st_size if begun is not None else 0
    with _opened(url, there, begun, timeout) as response:
        if response.status == FULL:
            there = 0
        elif begun is None or not _goes_on(response.headers, there, begun):
            raise _StaleError
        validator = _validator(response.headers)
        if there == 0:
            part.unlink(missing_ok=True)
            note.write_text(json.dumps(asdict(_Begun(url=url, validator=validator))), encoding="utf-8")
        announced = response.headers.get("Content-Length")
        with part.open("ab") as stream:
            came = _pass_on(response, stream)
    if announced is not None and announced.isdigit() and came != int(announced):
        fix = "try again: what came is kept, and gone on with if the server can do that"
        raise _failed(f"{url} broke off: {came} of {announced} bytes came", part, fix)


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https alone: the usual one follows redirections to ftp, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _opened(url: str, there: int, begun: _Begun | None, timeout: float) -> Iterator[HTTPResponse]:
    headers = {"User-Agent": "jobtest", "Accept-Encoding": "identity"}
    if begun is not None:
        headers |= {"Range": f"bytes={there}-", "If-Range": begun.validator}
    try:
        request = urllib.request.Request(url, headers=headers)
        response: HTTPResponse | None = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == RANGE_REFUSED and begun is not None:
            raise _StaleError from error
        fix = "see the URL in a browser" if error.code < 500 else "try again later: the server has a problem"
        raise _failed(f"{url} cannot be had: HTTP status {error.code}, {error.reason}", "", fix) from error
    assert response is not None
    with response:
        if response.status not in (FULL, PARTIAL):
            raise _failed(
                f"{url} cannot be had: HTTP status {response.status}", "", "see the URL in a browser"
            )
        yield response


def _pass_on(response: HTTPResponse, stream: BinaryIO) -> int:
    came = 0
    while data := response.read(CHUNK):
        stream.write(data)
        came += len(data)
    return came


def _goes_on(headers: HTTPMessage, there: int, begun: _Begun) -> bool:
    found = RANGE.fullmatch(headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == there and _validator(headers) == begun.validator


def _validator(headers: HTTPMessage) -> str:
    """Return what marks this version of a file, or nothing: a weak ETag marks what is as good."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _read_note(note: Path, url: str) -> _Begun | None:
    try:
        begun = _Begun(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return begun if begun.url == url and begun.validator else None


@contextmanager
def _told(url: str, at: Path) -> Iterator[None]:
    """Turn whatever goes wrong on the way into one kind of error."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        raise _failed(
            f"{url} cannot be had: {said}", at, "see the URL and the network, then try again"
        ) from error


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _failed(what: str, at: Path | str, fix: str) -> TaskFailed:
    return TaskFailed(Problem(what=what, at=(str(at),) if at else (), fix=fix))
