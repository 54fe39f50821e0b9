"""Task type `archive`: a folder as one file, the same bytes for the same folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from jobtest.core.errors import Problem
from jobtest.tasks import NotAsWanted, TaskFailed
from jobtest.tasks.files import described, explained, remove, replacing
from jobtest.tasks.formats import DamagedError, Format, Member, Tar, Traits, Zip, traits_of

__all__ = ["check_task_archive", "delete_task_archive", "describe_task_archive", "task_archive"]

FORMATS: Mapping[str, Format] = {".tar.gz": Tar(), ".tgz": Tar(), ".zip": Zip()}
SHOWN = 3
"""Differences named in a reason: it is one line."""


def task_archive(input_directory_path: Path, target_file_path: Path) -> None:
    """Pack a folder into one file, `.tar.gz` or `.zip`.

    Inside, everything is below the name of the folder. The same folder gives the same bytes: entries are
    sorted, owners and times are left out, permissions are 755 for folders and programs and 644 for the rest.
    The file is there whole or not at all. Symbolic links are kept as links; one that leads out of the folder
    is refused, as is what is no file, folder or link.

    Args:
        input_directory_path: The folder to pack.
        target_file_path: The file to write; its ending says how: `.tar.gz`, `.tgz` or `.zip`. It must not be
            inside the folder.

    Example:
        [[job]]
        name = "backup"
        task = "archive"
        args = { input_directory_path = "data", target_file_path = "backups/data.tar.gz" }
    """
    format = _format_of(target_file_path)
    _refuse_inside(input_directory_path, target_file_path)
    members = _members(input_directory_path)
    what = f"'{input_directory_path}' cannot be packed into '{target_file_path}'"
    with explained(what), replacing(target_file_path) as stream:
        format.write(stream, members)


def check_task_archive(input_directory_path: Path, target_file_path: Path) -> None:
    """The file is there, whole, and holds what the folder holds: names, contents, permissions, links.

    Args:
        input_directory_path: As for the task.
        target_file_path: As for the task.
    """
    format = _format_of(target_file_path)
    _refuse_inside(input_directory_path, target_file_path)
    members = _members(input_directory_path)
    if not target_file_path.is_file():
        raise NotAsWanted(f"'{target_file_path}' is not there")
    try:
        there = format.read(target_file_path)
    except DamagedError as error:
        raise NotAsWanted(f"'{target_file_path}' cannot be read as an archive: {error}") from error
    with explained(f"'{input_directory_path}' cannot be compared"):
        wanted = {member.name: traits_of(member) for member in members}
    differing = [_differs(name, wanted, there) for name in sorted({*wanted, *there})]
    found = [told for told in differing if told]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise NotAsWanted(f"'{target_file_path}' is out of date: {', '.join(found[:SHOWN])}{more}")


def describe_task_archive(target_file_path: Path) -> dict[str, object]:
    """`path`, `exists`, `bytes` and `sha256` of the file.

    Args:
        target_file_path: As for the task.
    """
    return described(target_file_path)


def delete_task_archive(target_file_path: Path) -> None:
    """Deletes the file.

    Args:
        target_file_path: As for the task.
    """
    remove(target_file_path)


def _format_of(target: Path) -> Format:
    for ending, format in FORMATS.items():
        if target.name.lower().endswith(ending):
            return format
    what = f"target_file_path = '{target}' does not say what kind of archive to write"
    raise TaskFailed(Problem(what=what, fix=f"end its name with one of {', '.join(FORMATS)}"))


def _refuse_inside(folder: Path, target: Path) -> None:
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
        what = f"target_file_path = '{target}' is inside the folder to pack, '{folder}'"
        raise TaskFailed(Problem(what=what, at=(os.path.abspath(target),), fix="write it to another folder"))


def _members(folder: Path) -> list[Member]:
    """Return what is in the folder, the folder itself included, sorted by name.

    Raises:
        TaskFailed: there is no such folder, or something in it cannot be packed; all of these at once.
    """
    if not folder.is_dir():
        what = f"input_directory_path = '{folder}' is not a folder"
        fix = "make it in a job that this one needs, or name another"
        raise TaskFailed(Problem(what=what, at=(os.path.abspath(folder),), fix=fix))
    root = Path(os.path.abspath(folder))
    if not root.name:
        raise TaskFailed(Problem(what="input_directory_path = '/' has no name", fix="name a folder in it"))
    found = [Member(name=root.name, kind="folder", path=root)]
    todo = [(root, root.name)]
    while todo:
        path, name = todo.pop()
        with explained(f"'{folder}' cannot be packed"), os.scandir(path) as entries:
            below = [_member(entry, f"{name}/{entry.name}") for entry in entries]
        todo += [(member.path, member.name) for member in below if member.kind == "folder"]
        found += below
    _refuse_odd(folder, root, found)
    return sorted(found, key=lambda member: member.name)


def _member(entry: os.DirEntry[str], name: str) -> Member:
    mode, path = entry.stat(follow_symlinks=False).st_mode, Path(entry.path)
    if stat.S_ISLNK(mode):
        return Member(name=name, kind="link", path=path, link=os.readlink(path))
    if stat.S_ISDIR(mode):
        return Member(name=name, kind="folder", path=path)
    if stat.S_ISREG(mode):
        return Member(name=name, kind="file", path=path, program=bool(mode & 0o111))
    return Member(name=name, kind="other", path=path)


def _refuse_odd(folder: Path, root: Path, members: list[Member]) -> None:
    odd = [f"{member.path}: neither file, folder nor link" for member in members if member.kind == "other"]
    odd += [
        f"{one.path}: leads to {one.link!r}" for one in members if one.kind == "link" and _leaves(root, one)
    ]
    if odd:
        what = f"'{folder}' holds what cannot be packed: links that lead out of it, or special files"
        fix = "remove them, or replace links by what they lead to"
        raise TaskFailed(Problem(what=what, at=tuple(sorted(odd)), fix=fix))


def _leaves(root: Path, link: Member) -> bool:
    """Tell whether a link leads out of the folder: here, or where the archive will be unpacked."""
    said = Path(os.path.normpath(link.path.parent / link.link))
    inside = said.is_relative_to(root) and Path(os.path.realpath(link.path)).is_relative_to(
        os.path.realpath(root)
    )
    return os.path.isabs(link.link) or not inside


def _differs(name: str, wanted: Mapping[str, Traits], there: Mapping[str, Traits]) -> str:
    """Say how an entry of the folder and that of the archive differ; nothing if they do not."""
    if name not in there:
        return f"{name!r} is new"
    if name not in wanted:
        return f"{name!r} is gone"
    return "" if wanted[name] == there[name] else f"{name!r} differs"
