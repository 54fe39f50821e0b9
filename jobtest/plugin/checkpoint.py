"""The fixture `checkpoint`: how far a job has come, kept at once, offered again on retry and resume."""

from __future__ import annotations

from typing import Protocol

import pytest

from jobtest.plugin.items import JobItem
from jobtest.plugin.masking import secrets_of
from jobtest.state.codec import Home, ModuleHome, NotStorable, decode, encode

__all__ = ["Checkpoint", "Keeper", "memory_key"]


class Keeper(Protocol):
    """Keeps checkpoints: the memory of a run, or in a process of its own the way to it."""

    def checkpoints(self, job: str) -> dict[str, str]:
        """Return the checkpoints of a job, JSON text by key."""

    def put_checkpoint(self, job: str, key: str, text: str) -> None:
        """Keep a checkpoint at once; raises StateLost."""


memory_key = pytest.StashKey[Keeper]()


class Checkpoint:
    """Values by key that belong to one job. They are gone when it has ended well."""

    def __init__(self, memory: Keeper, item: JobItem) -> None:
        self._secrets = secrets_of(item.config)
        self._memory, self._job = memory, item.id_
        self._home: Home = ModuleHome(item.module)

    def __repr__(self) -> str:
        return f"<checkpoint {sorted(self._memory.checkpoints(self._job))}>"

    def __contains__(self, key: str) -> bool:
        return key in self._memory.checkpoints(self._job)

    def get(self, key: str, default: object = None) -> object:
        """Return what was kept under a key, by this or an earlier attempt, or the default.

        Raises:
            ValueError: what was kept cannot be read, e.g. as its class is another one by now.
        """
        text = self._memory.checkpoints(self._job).get(key)
        return default if text is None else decode(text, self._home)

    def set(self, key: str, value: object) -> None:
        """Keep a value; when this returns, neither a crash nor a power cut takes it back.

        Raises:
            TypeError: the key is no text.
            NotStorable: it cannot be stored, or holds a secret; the message says where in it and why.
            StateLost: the state cannot keep anything any more.
        """
        if not isinstance(key, str):
            raise TypeError(f"the key of a checkpoint must be text, not {key!r}")
        text = encode(value, self._home).text
        secret = self._secrets.find(text) or self._secrets.find(key)
        if secret:
            raise NotStorable(f"the checkpoint {key!r} holds the secret {secret!r}, and is not kept")
        self._memory.put_checkpoint(self._job, key, text)
