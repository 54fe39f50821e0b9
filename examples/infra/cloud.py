"""A small cloud: networks, volumes and servers of several tenants, over HTTP, in a SQLite file.

    python cloud.py                                            listens until Ctrl-C and prints its address
    python cloud.py PATCH /dev/servers/web-1 '{"cpus": 4}'     answers one request and ends: the console

    GET    /TENANT/KIND         all of a kind                  KIND is networks, volumes or servers
    POST   /TENANT/KIND         makes one of these fields
    GET    /TENANT/KIND/NAME    one of them
    PATCH  /TENANT/KIND/NAME    changes these fields of it
    DELETE /TENANT/KIND/NAME    deletes it

It has the rules that make a real cloud hard to keep in order: what is in use cannot be deleted, a volume only
grows and belongs to one server, the servers of a tenant share a quota of CPUs. A refusal is `{"error": ...}`
with a status of 400 (what is that?), 403 (quota), 404 (not there), 405 or 409 (not as things are).
"""

import argparse
import ipaddress
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

CPUS = {"dev": 4, "prod": 32}
"""Tenant to the CPUs that all its servers may have together."""


class RefusedError(Exception):
    """A request that is answered with no."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9-]*", value) is not None


def number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def flag(value: object) -> bool:
    return isinstance(value, bool)


def cidr(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_network(value))
    except ValueError:
        return False


FIELDS: dict[str, dict[str, Callable[[object], bool]]] = {
    "networks": {"name": name, "cidr": cidr, "public": flag},
    "volumes": {"name": name, "size_gb": number},
    "servers": {"name": name, "image": text, "cpus": number, "network": name, "volume": name},
}
"""Kind to the fields of its resources, each with the question whether a value of it is sound."""


@dataclass(frozen=True)
class Desk:
    """One request of one tenant, within one transaction."""

    database: sqlite3.Connection
    tenant: str

    def all(self, kind: str) -> list[Resource]:
        """Every resource of a kind, by name."""
        found = self.database.execute(
            "select fields from resource where tenant = ? and kind = ? order by name", (self.tenant, kind)
        )
        return [json.loads(fields) for (fields,) in found]

    def get(self, kind: str, name: str) -> Resource:
        """One resource, or 404."""
        for resource in self.all(kind):
            if resource["name"] == name:
                return resource
        raise RefusedError(404, f"there is no {kind[:-1]} {name}")

    def create(self, kind: str, fields: Resource) -> Resource:
        """Make a resource of all its fields."""
        missing = [field for field in FIELDS[kind] if field not in fields]
        if missing:
            raise RefusedError(400, f"a {kind[:-1]} has a {missing[0]}, too")
        if any(resource["name"] == fields["name"] for resource in self.all(kind)):
            raise RefusedError(409, f"there is a {kind[:-1]} {fields['name']} already")
        return self._keep(kind, fields)

    def change(self, kind: str, name: str, fields: Resource) -> Resource:
        """Change some fields of a resource."""
        before = self.get(kind, name)
        after = before | fields
        if after["name"] != name:
            raise RefusedError(400, f"{kind[:-1]} {name} cannot be renamed")
        if kind == "networks" and after["cidr"] != before["cidr"]:
            self._refuse_if_used(kind, name)
        if kind == "volumes" and after["size_gb"] < before["size_gb"]:
            raise RefusedError(409, f"volume {name} has {before['size_gb']} GB and cannot shrink")
        return self._keep(kind, after)

    def delete(self, kind: str, name: str) -> None:
        """Delete a resource that nobody uses."""
        self.get(kind, name)
        self._refuse_if_used(kind, name)
        self.database.execute(
            "delete from resource where tenant = ? and kind = ? and name = ?", (self.tenant, kind, name)
        )

    def _refuse_if_used(self, kind: str, name: str) -> None:
        for server in self.all("servers"):
            if server.get(kind[:-1]) == name:
                raise RefusedError(409, f"{kind[:-1]} {name} is in use by server {server['name']}")

    def _keep(self, kind: str, fields: Resource) -> Resource:
        if kind == "servers":
            self._refuse_unsound(fields)
        self.database.execute(
            "insert or replace into resource values (?, ?, ?, ?)",
            (self.tenant, kind, fields["name"], json.dumps(fields)),
        )
        return fields

    def _refuse_unsound(self, server: Resource) -> None:
        self.get("networks", server["network"])
        self.get("volumes", server["volume"])
        others = [other for other in self.all("servers") if other["name"] != server["name"]]
        for other in others:
            if other["volume"] == server["volume"]:
                raise RefusedError(409, f"volume {server['volume']} is in use by server {other['name']}")
        cpus = sum(each["cpus"] for each in [*others, server])
        if cpus > CPUS[self.tenant]:
            quota = f"{self.tenant} may have {CPUS[self.tenant]} CPUs"
            raise RefusedError(403, f"{quota}, with server {server['name']} it would have {cpus}")


@dataclass(frozen=True)
class Cloud:
    """Answers requests out of a SQLite file."""

    file: Path

    def answer(self, method: str, path: str, body: bytes | str = b"") -> tuple[int, object]:
        """Return the status and the content with which a request is answered."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.file, isolation_level=None)) as database, database:
            database.execute("begin immediate")  # no rule is broken by two requests at once
            database.execute(
                "create table if not exists resource"
                " (tenant text, kind text, name text, fields text, primary key (tenant, kind, name))"
            )
            try:
                return self._routed(database, method, path, body)
            except RefusedError as refused:
                return refused.status, {"error": str(refused)}

    def _routed(
        self, database: sqlite3.Connection, method: str, path: str, body: bytes | str
    ) -> tuple[int, object]:
        found = re.fullmatch(r"/(\w+)/(\w+)(?:/([^/]+))?", path)
        if not found or found[1] not in CPUS or found[2] not in FIELDS:
            raise RefusedError(404, f"there is nothing at {path}")
        tenant, kind, name = found.groups()
        desk = Desk(database, tenant)
        match method, name:
            case "GET", None:
                return 200, desk.all(kind)
            case "POST", None:
                return 201, desk.create(kind, fields_of(kind, body))
            case "GET", str():
                return 200, desk.get(kind, name)
            case "PATCH", str():
                return 200, desk.change(kind, name, fields_of(kind, body))
            case "DELETE", str():
                return 204, desk.delete(kind, name)
        raise RefusedError(405, f"{method} is not for {path}")


def fields_of(kind: str, body: bytes | str) -> Resource:
    """Return the fields that a body holds, if all of them are sound."""
    try:
        fields = json.loads(body)
    except ValueError:
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(fields, dict):
        raise RefusedError(400, "the body is not an object")
    for field, value in fields.items():
        if field not in FIELDS[kind]:
            raise RefusedError(400, f"a {kind[:-1]} has no {field}")
        if not FIELDS[kind][field](value):
            raise RefusedError(400, f"the {field} of a {kind[:-1]} cannot be {value!r}")
    return fields


class Request(BaseHTTPRequestHandler):
    """Takes a request to the cloud and its answer back."""

    server: "CloudServer"

    def answer(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content = self.server.cloud.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if content is not None:
            self.wfile.write(json.dumps(content).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # names that http.server asks for

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class CloudServer(ThreadingHTTPServer):
    """The cloud, on a port of this machine that nobody else reaches; port 0 is any that is free."""

    def __init__(self, cloud: Cloud, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Request)
        self.cloud = cloud

    @property
    def address(self) -> str:
        """Where it listens, as HOST:PORT."""
        return f"127.0.0.1:{self.server_port}"


def main() -> None:
    parser = argparse.ArgumentParser(description="A small cloud. With METHOD and PATH: one request to it.")
    parser.add_argument("request", nargs="*", metavar="METHOD PATH JSON")
    parser.add_argument("--db", type=Path, default=Path("work/cloud.db"))
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    cloud = Cloud(options.db)
    match options.request:
        case [method, path, *body] if len(body) < 2:
            status, content = cloud.answer(method, path, *body)
            print(status, "" if content is None else json.dumps(content))
            return
        case [_, *_]:
            parser.error("a request is METHOD PATH or METHOD PATH JSON")
    with CloudServer(cloud, options.port) as server:
        print(f"http://{server.address}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
