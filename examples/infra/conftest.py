"""What the jobs share: the cloud as the tenant of the context sees it."""

import json
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest
from cloud import Cloud, CloudServer


class CloudError(Exception):
    """What the cloud says when it refuses."""


@dataclass(frozen=True)
class Tenant:
    """The cloud at an address, as one tenant sees it; paths are like `servers` and `servers/web-1`."""

    address: str = field(repr=False)
    name: str
    notes: Path = field(repr=False)
    """A folder: what resources were before they were made or changed the last time."""

    def get(self, path: str) -> dict:
        """One resource."""
        __tracebackhide__ = True
        return self._call("GET", path)

    def differences(self, path: str, wanted: dict) -> dict:
        """What is not as wanted: field to what it is."""
        __tracebackhide__ = True
        found = self.get(path)
        return {field: found[field] for field in wanted if found[field] != wanted[field]}

    def find(self, path: str) -> dict | None:
        """One resource, or None if it is not there."""
        kind, name = path.split("/")
        return next((resource for resource in self._call("GET", kind) if resource["name"] == name), None)

    def create(self, path: str, fields: dict) -> None:
        """Make a resource; if there is one that we do not know of, the cloud refuses."""
        __tracebackhide__ = True
        self._note(path)
        kind, name = path.split("/")
        self._call("POST", kind, {"name": name, **fields})

    def change(self, path: str, fields: dict) -> None:
        """Change a resource, or make it again if somebody has deleted it."""
        __tracebackhide__ = True
        if self.find(path) is None:
            self.create(path, fields)
        else:
            self._note(path)
            self._call("PATCH", path, fields)

    def delete(self, path: str) -> None:
        """Delete a resource, if it is there, and with it what there is to undo."""
        __tracebackhide__ = True
        if self.find(path):
            self._call("DELETE", path)
        self._note_of(path).unlink(missing_ok=True)

    def undo(self, path: str) -> None:
        """Take back that a resource was made, or its last change; once, however often it is asked for."""
        note = self._note_of(path)
        if not note.exists():
            return
        before = json.loads(note.read_text())
        if before is None:
            self.delete(path)
        else:
            self._call("PATCH", path, before)
            note.unlink()

    def _note(self, path: str) -> None:
        """Keep what a resource is now, where it outlives this process."""
        note = self._note_of(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(self.find(path)))

    def _note_of(self, path: str) -> Path:
        return self.notes / f"{path}.json"

    def _call(self, method: str, path: str, fields: dict | None = None):
        __tracebackhide__ = True  # what the cloud refuses is shown where a job asks for it
        with closing(HTTPConnection(self.address, timeout=10)) as connection:
            connection.request(method, f"/{self.name}/{path}", fields and json.dumps(fields))
            response = connection.getresponse()
            content = response.read()
        answer = json.loads(content) if content else None
        if response.status >= 400:
            raise CloudError(f"{response.status} {answer['error']}")
        return answer


@pytest.fixture(scope="session")
def address(params):
    """Where the cloud is: at `--job-set cloud=HOST:PORT`, or else one that is started for this run."""
    if "cloud" in params:
        yield params.cloud
        return
    with CloudServer(Cloud(Path(params.workspace, "cloud.db"))) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server.address
        server.shutdown()


@pytest.fixture(scope="session")
def cloud(address, context, params):
    """The cloud, for the tenant that has the name of the context."""
    return Tenant(address, context, Path(params.workspace, "before", context))
