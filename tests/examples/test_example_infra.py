import importlib.util
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Barrier, Thread

import pytest

NETWORK = {"name": "shop", "cidr": "10.1.0.0/24", "public": False}
VOLUME = {"name": "data", "size_gb": 10}
SERVER = {"name": "web", "image": "debian-13", "cpus": 1, "network": "shop", "volume": "data"}


@pytest.fixture
def clouds(examples):
    """The module `cloud.py` of the example."""
    spec = importlib.util.spec_from_file_location("cloud_of_infra", examples / "infra" / "cloud.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def call(clouds, tmp_path):
    """A function: a request over HTTP to its status and content."""
    with clouds.CloudServer(clouds.Cloud(tmp_path / "new" / "cloud.db")) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def call(method, path, content=None):
            body = content if isinstance(content, str) else json.dumps(content)
            with closing(HTTPConnection(server.address, timeout=10)) as connection:
                connection.request(method, path, body)
                response = connection.getresponse()
                answer = response.read()
            return response.status, json.loads(answer) if answer else None

        yield call
        server.shutdown()
        thread.join()


@pytest.fixture
def shop(call):
    """The same function, for a cloud in which there is a server with all it needs."""
    assert call("POST", "/dev/networks", NETWORK) == (201, NETWORK)
    assert call("POST", "/dev/volumes", VOLUME) == (201, VOLUME)
    assert call("POST", "/dev/servers", SERVER) == (201, SERVER)
    return call


def test_the_cloud_keeps_what_is_made_changed_and_deleted(shop):
    assert shop("GET", "/dev/servers/web") == (200, SERVER)
    assert shop("PATCH", "/dev/servers/web", {"cpus": 4}) == (200, SERVER | {"cpus": 4})
    assert shop("GET", "/dev/servers") == (200, [SERVER | {"cpus": 4}])
    for path in ("servers/web", "volumes/data", "networks/shop"):
        assert shop("DELETE", f"/dev/{path}") == (204, None)
    assert shop("GET", "/dev/servers/web") == (404, {"error": "there is no server web"})
    assert shop("GET", "/dev/networks") == (200, [])


def test_the_cloud_keeps_tenants_apart(shop):
    assert shop("GET", "/prod/servers") == (200, [])
    assert shop("POST", "/prod/networks", NETWORK)[0] == 201
    assert shop("POST", "/prod/servers", SERVER) == (404, {"error": "there is no volume data"})


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "error"),
    [
        ("GET", "/test/servers", None, 404, "there is nothing at /test/servers"),
        ("GET", "/dev/lakes", None, 404, "there is nothing at /dev/lakes"),
        ("GET", "/dev", None, 404, "there is nothing at /dev"),
        ("GET", "/dev/servers/web/1", None, 404, "there is nothing at /dev/servers/web/1"),
        ("PATCH", "/dev/servers/db", {"cpus": 2}, 404, "there is no server db"),
        ("DELETE", "/dev/servers/db", None, 404, "there is no server db"),
        ("DELETE", "/dev/servers", None, 405, "DELETE is not for /dev/servers"),
        ("POST", "/dev/servers/web", SERVER, 405, "POST is not for /dev/servers/web"),
        ("POST", "/dev/servers", "{", 400, "the body is not JSON"),
        ("POST", "/dev/servers", [1], 400, "the body is not an object"),
        ("POST", "/dev/volumes", {"name": "more"}, 400, "a volume has a size_gb, too"),
        ("POST", "/dev/volumes", VOLUME, 409, "there is a volume data already"),
        ("PATCH", "/dev/volumes/data", {"colour": "red"}, 400, "a volume has no colour"),
        ("PATCH", "/dev/volumes/data", {"size_gb": True}, 400, "the size_gb of a volume cannot be True"),
        ("PATCH", "/dev/volumes/data", {"size_gb": 9}, 409, "volume data has 10 GB and cannot shrink"),
        ("PATCH", "/dev/volumes/data", {"name": "more"}, 400, "volume data cannot be renamed"),
        (
            "PATCH",
            "/dev/networks/shop",
            {"cidr": "10.1.0.7/8"},
            400,
            "cidr of a network cannot be '10.1.0.7/8'",
        ),
        ("PATCH", "/dev/networks/shop", {"cidr": "10.1.0.0/16"}, 409, "network shop is in use by server web"),
        ("DELETE", "/dev/networks/shop", None, 409, "network shop is in use by server web"),
        ("DELETE", "/dev/volumes/data", None, 409, "volume data is in use by server web"),
        ("POST", "/dev/servers", SERVER | {"name": "db"}, 409, "volume data is in use by server web"),
        (
            "PATCH",
            "/dev/servers/web",
            {"cpus": 5},
            403,
            "dev may have 4 CPUs, with server web it would have 5",
        ),
        ("PATCH", "/dev/servers/web", {"network": "no"}, 404, "there is no network no"),
    ],
)
def test_the_cloud_refuses_what_breaks_a_rule_and_changes_nothing(shop, method, path, content, status, error):
    answered, answer = shop(method, path, content)
    assert answered == status
    assert answer["error"].endswith(error)
    assert shop("GET", "/dev/networks") == (200, [NETWORK])
    assert shop("GET", "/dev/volumes") == (200, [VOLUME])
    assert shop("GET", "/dev/servers") == (200, [SERVER])


def test_requests_at_once_do_not_share_what_is_left_of_the_quota(clouds, tmp_path):
    cloud, ready = clouds.Cloud(tmp_path / "cloud.db"), Barrier(8)
    cloud.answer("POST", "/dev/networks", json.dumps(NETWORK))
    for number in range(8):
        cloud.answer("POST", "/dev/volumes", json.dumps(VOLUME | {"name": f"of-{number}"}))

    def ask(number):
        wish = SERVER | {"name": f"web-{number}", "volume": f"of-{number}"}
        ready.wait()
        return cloud.answer("POST", "/dev/servers", json.dumps(wish))[0]

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(ask, range(8))) == [201] * 4 + [403] * 4


def test_the_console_answers_one_request(clouds, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cloud.py", "--db", str(tmp_path / "cloud.db"), "GET", "/dev/networks"])
    clouds.main()
    assert capsys.readouterr().out == "200 []\n"


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("infra").play()


@pytest.fixture
def console(clouds):
    """A function: a request to the cloud of an example to its content."""

    def ask(example, method, path):
        status, content = clouds.Cloud(example.folder / "work" / "cloud.db").answer(method, path)
        assert status < 300, content
        return content

    return ask


@pytest.fixture
def everything(console):
    """A function: an example and a context to all that its cloud has for it."""

    def ask(example, context):
        return [console(example, "GET", f"/{context}/{kind}") for kind in ("networks", "volumes", "servers")]

    return ask


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_the_readme_shows_what_the_console_answers(examples, story):
    readme = (examples / "infra" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```console\n(\$ python cloud\.py .*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert shown
    assert [block for block in shown if block not in story.expected] == []


def test_the_settings_in_the_readme_are_those_of_the_example(examples):
    readme = (examples / "infra" / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert shown in (examples / "infra" / "pyproject.toml").read_text(encoding="utf-8")


def test_a_failing_third_resource_takes_the_first_two_with_it(story):
    failed = story[0]
    assert failed.exit_code == 1
    assert failed.having("failed") == {"server[web-1]"}
    assert failed.having("changed") == {"network", "volume[web-1]"}
    assert "dev may have 4 CPUs" in failed.output
    assert story[1].output == "200 []\n"


def test_what_is_made_stays_and_is_described(story):
    assert story[2].having("changed") == {"network", "volume[web-1]", "server[web-1]"}
    assert story[3].having("unchanged") == {"network", "volume[web-1]", "server[web-1]"}
    assert story[4].jobs["network"]["value"] == {"name": "shop", "cidr": "10.1.0.0/24", "public": False}


def test_a_change_behind_our_back_is_seen_and_repaired(story):
    assert story[6].exit_code == 1
    assert story[6].having("failed") == {"network"}
    assert story[7].exit_code == 0
    assert story[7].having("changed") == {"network"}


def test_another_parameter_changes_what_depends_on_it(story):
    assert story[8].having("changed") == {"server[web-1]"}


def test_prod_is_made_beside_dev(story, console):
    assert story[9].exit_code == 0
    assert len(story[9].having("changed")) == 5
    network = {"name": "shop", "cidr": "10.2.0.0/16", "public": True}
    assert console(story.example, "GET", "/prod/networks") == [network]


def test_what_is_deleted_is_gone_and_prod_is_not(story, everything):
    assert story[10].exit_code == 0
    assert everything(story.example, "dev") == [[], [], []]
    assert story[12].exit_code == 0
    assert story[12].recap == "5 jobs: 5 unchanged"


def test_a_failure_on_purpose_leaves_nothing_behind_and_prod_allows_none(story):
    assert story[13].exit_code == 1
    assert story[13].having("failed") == {"server[web-1]"}
    assert story[13].jobs["server[web-1]"]["injected"] == ["fail at attempt 1"]
    assert "3 rolled back" in story[13].output
    assert story[14].exit_code == 4


def test_a_failing_last_resource_takes_all_others_with_it_in_reverse(copy_of, everything):
    example = copy_of("infra")
    done = example.run("--orchestrate", "--job-context=prod", "--job-set=cpus=20", "--job-rollback=run")
    assert done.having("changed") == {"network", "volume[web-1]", "volume[web-2]", "server[web-1]"}
    assert done.having("failed") == {"server[web-2]"}
    assert everything(example, "prod") == [[], [], []]


@pytest.mark.rarely
def test_a_failing_update_takes_the_updates_before_it_back_and_deletes_nothing(copy_of, story, everything):
    example = copy_of(story.example)
    before = everything(example, "prod")
    done = example.run("--orchestrate", "--job-context=prod", "--job-set=cpus=20", "--job-rollback=run")
    assert done.having("changed") == {"server[web-1]"}
    assert done.having("failed") == {"server[web-2]"}
    assert everything(example, "prod") == before
    assert example.run("--orchestrate", "--job-context=prod").recap == "5 jobs: 5 unchanged"


@pytest.mark.rarely
def test_what_somebody_has_deleted_is_made_again(copy_of, story, console):
    example = copy_of(story.example)
    console(example, "DELETE", "/prod/servers/web-1")
    done = example.run("--orchestrate", "--job-context=prod")
    assert done.having("changed") == {"server[web-1]"}
    assert len(console(example, "GET", "/prod/servers")) == 2


@pytest.mark.rarely
def test_a_volume_grows_and_does_not_have_to_shrink(copy_of, story, console):
    example = copy_of(story.example)
    done = example.run("--orchestrate", "--job-context=prod", "--job-set=size_gb=300")
    assert done.having("changed") == {"volume[web-1]", "volume[web-2]"}
    assert [volume["size_gb"] for volume in console(example, "GET", "/prod/volumes")] == [300, 300]
    assert example.run("--orchestrate", "--job-context=prod").recap == "5 jobs: 5 unchanged"
