"""Networks, volumes and servers, from nothing to everything and back.

    network, volume[each host] -> server[each host]

A check compares what is in the cloud with what the parameters of the context want. `job_` creates, `update_`
changes what a run of ours has created, `delete_` and `rollback_` undo, `describe_` tells.
"""

import pytest

NETWORK = "networks/shop"
HOSTS = {"dev": ["web-1"], "prod": ["web-1", "web-2"]}


def pytest_generate_tests(metafunc):
    """Make one volume and one server of each host of the context."""
    if "host" in metafunc.fixturenames:
        metafunc.parametrize("host", HOSTS.get(metafunc.config.getoption("--job-context"), []))


@pytest.fixture
def network_wanted(params):
    return {"cidr": params.cidr, "public": params.public}


def check_network(cloud, network_wanted):
    assert cloud.differences(NETWORK, network_wanted) == {}


@pytest.mark.job(priority=1)  # the first of those that wait for nothing, however long each of them takes
def job_network(cloud, network_wanted):
    """The network of the shop, public only where it is meant to be."""
    cloud.create(NETWORK, network_wanted)


def update_network(cloud, network_wanted):
    cloud.change(NETWORK, network_wanted)


def describe_network(cloud):
    return cloud.find(NETWORK)


def delete_network(cloud):
    cloud.delete(NETWORK)


def rollback_network(cloud, error):
    cloud.undo(NETWORK)


def check_volume(cloud, host, params):
    assert cloud.get(f"volumes/{host}-data")["size_gb"] >= params.size_gb  # it has grown: fine


def job_volume(cloud, host, params):
    """A volume for the data of a host; it can grow, never shrink."""
    cloud.create(f"volumes/{host}-data", {"size_gb": params.size_gb})


def update_volume(cloud, host, params):
    cloud.change(f"volumes/{host}-data", {"size_gb": params.size_gb})


def describe_volume(cloud, host):
    return cloud.find(f"volumes/{host}-data")


def delete_volume(cloud, host):
    cloud.delete(f"volumes/{host}-data")


def rollback_volume(cloud, host, error):
    cloud.undo(f"volumes/{host}-data")


@pytest.fixture
def server_wanted(params, job_network, job_volume):
    return {
        "image": params.image,
        "cpus": params.cpus,
        "network": job_network["name"],
        "volume": job_volume["name"],
    }


def check_server(cloud, host, server_wanted):
    assert cloud.differences(f"servers/{host}", server_wanted) == {}


@pytest.mark.job(inputs="ignore")  # of network and volume it takes the names, which stay
def job_server(cloud, host, server_wanted):
    """A server in the network, with its volume."""
    cloud.create(f"servers/{host}", server_wanted)


def update_server(cloud, host, server_wanted):
    cloud.change(f"servers/{host}", server_wanted)


def describe_server(cloud, host):
    return cloud.find(f"servers/{host}")


def delete_server(cloud, host):
    cloud.delete(f"servers/{host}")


def rollback_server(cloud, host, error):
    cloud.undo(f"servers/{host}")
