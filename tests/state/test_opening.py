"""From a URL to a store."""

import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace

import pytest

from jobtest.core.errors import StateError, UsageError
from jobtest.state.file import FileStore
from jobtest.state.memory import MemoryStore
from jobtest.state.opening import open_store
from jobtest.state.sqlite import SqliteStore
from jobtest.state.store import Owner

ME = Owner(host="box", pid=1, since=0.0, command="pytest")


@pytest.mark.parametrize(
    ("url", "kind", "place"),
    [
        ("", SqliteStore, "{root}/.jobtest/state.db"),
        ("sqlite:///state.db", SqliteStore, "{root}/state.db"),
        ("sqlite:///deep/er/state.db", SqliteStore, "{root}/deep/er/state.db"),
        ("sqlite:////{root}/elsewhere.db", SqliteStore, "{root}/elsewhere.db"),
        ("sqlite:///a b?c#d%20.db", SqliteStore, "{root}/a b?c#d%20.db"),
        ("file:state", FileStore, "{root}/state"),
        ("file:./deep/state", FileStore, "{root}/deep/state"),
        ("file://{root}/state", FileStore, "{root}/state"),
    ],
)
def test_a_url_names_a_place(tmp_path, url, kind, place):
    with_root = url.replace("sqlite:////{root}", f"sqlite:///{tmp_path}").replace("{root}", str(tmp_path))
    store = open_store(with_root, tmp_path)

    assert type(store) is kind
    assert store.url == {SqliteStore: "sqlite:///", FileStore: "file://"}[kind] + place.format(root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "sqlite:///x y.db", "file:state"])
def test_the_url_that_a_store_gives_names_the_same_store(tmp_path, url):
    store = open_store(url, tmp_path)

    assert open_store(store.url, tmp_path / "another root").url == store.url


@pytest.mark.parametrize("url", ["memory://", "memory:"])
def test_memory_needs_no_place(tmp_path, url):
    assert type(open_store(url, tmp_path)) is MemoryStore


def test_strange_characters_in_a_path_are_a_path(tmp_path):
    store = open_store("sqlite:///a b?mode=memory#d%20.db", tmp_path)
    store.own(ME)
    store.close()

    assert (tmp_path / "a b?mode=memory#d%20.db").is_file()


def test_durability_and_size_get_to_the_store(tmp_path):
    store = open_store("", tmp_path, durability="fast", large=7)

    assert (store._durability, store._large) == ("fast", 7)
    assert open_store("file:x", tmp_path, durability="full")._durability == "full"


def said(url, root, kind=StateError):
    with pytest.raises(kind) as error:
        open_store(url, root)
    return str(error.value)


SQLITE = "a file below the root of the project is sqlite:///NAME, any other sqlite:////FOLDER/NAME"
FILE = "a folder below the root of the project is file:NAME, any other file:///FOLDER"


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("sqlite:", SQLITE),
        ("sqlite:///", SQLITE),
        ("sqlite://host/x.db", SQLITE),
        ("sqlite:x.db", SQLITE),
        ("file:", FILE),
        ("file:///", FILE),
        ("file://host/x", FILE),
    ],
)
def test_a_url_without_a_path_is_refused(tmp_path, url, fix):
    assert said(url, tmp_path) == f"the state {url!r} names nothing on this machine\n  fix: {fix}"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlit:///x.db", "there is no store 'sqlit'\n  fix: did you mean 'sqlite'?"),
        (
            "postgres://me:secret@host/jobs",
            "there is no store 'postgres'\n  fix: did you mean 'postgresql'?",
        ),
        ("s3://x", "there is no store 's3'\n  fix: known are: file, memory, postgresql, sqlite"),
        ("state.db", "the state 'state.db' is no URL\n  fix: a file is sqlite:///state.db"),
        ("/var/state.db", "the state '/var/state.db' is no URL\n  fix: a file is sqlite:////var/state.db"),
    ],
)
def test_an_unknown_scheme_is_refused_without_telling_a_password(tmp_path, url, text):
    assert said(url, tmp_path) == text


def test_postgresql_without_its_driver_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jobtest.state.postgres", None)

    text = said("postgresql://me:secret@host/jobs", tmp_path, UsageError)
    assert text == (
        "a state in PostgreSQL needs psycopg, which is not installed\n  fix: pip install 'jobtest[postgres]'"
    )


def test_postgresql_is_opened_by_its_own_module(tmp_path, monkeypatch):
    module = ModuleType("jobtest.state.postgres")
    module.PostgresStore = lambda url, *, durability: SimpleNamespace(url=url, durability=durability)
    monkeypatch.setitem(sys.modules, "jobtest.state.postgres", module)

    store = open_store("postgresql://host/jobs", tmp_path, durability="full")
    assert (store.url, store.durability) == ("postgresql://host/jobs", "full")


def made_by_another_package(url, root, *, durability, large):
    return url, root, durability, large


def test_a_store_of_another_package_is_called_by_its_scheme(tmp_path, monkeypatch):
    point = metadata.EntryPoint("redis", f"{__name__}:made_by_another_package", "jobtest.stores")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == "jobtest.stores" else [])

    made = open_store("redis://h", tmp_path, durability="fast", large=2000)
    assert made == ("redis://h", tmp_path, "fast", 2000)
    assert said("redi://h", tmp_path) == "there is no store 'redi'\n  fix: did you mean 'redis'?"
