"""From source code to a catalogue of who imports whom.

    scanner -> scan[each package] -> edges -> upload -> backup -> clean -> prune

The desired state of this pipeline is a catalogue that knows the code as it is now. What lies in the
workspace is only on the way there. So the checks of the first three steps ask: does the catalogue know it
already, or else, is my result in the workspace? That is why cleaning the workspace makes nothing run again,
and why a failed upload is taken up where it stopped.
"""

import json
import shutil
from datetime import timedelta

import lineage
import pytest
from catalogue import Catalogue
from lineage import PACKAGES, SKIP


def read(file):
    """The content of a JSON file, or an empty dict."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def write(file, content):
    """Write a JSON file; make its folder if need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def check_scanner(workspace, catalogue, wanted, library):
    if catalogue.outdated(wanted):
        assert read(workspace / "scanner.json") == {"library": str(library), "skip": SKIP}


def job_scanner(workspace, library):
    """Set up the scanner: write its configuration."""
    write(workspace / "scanner.json", {"library": str(library), "skip": SKIP})


def check_scan(package, workspace, catalogue, wanted):
    if package in catalogue.outdated(wanted):
        assert read(workspace / f"{package}.json").get("fingerprint") == wanted[package]


@pytest.mark.job(needs=["scanner"])
@pytest.mark.parametrize("package", PACKAGES)
def job_scan(package, workspace, library, wanted):
    """Scan one package for its imports."""
    modules = lineage.scan(library, package, read(workspace / "scanner.json")["skip"])
    write(workspace / f"{package}.json", {"fingerprint": wanted[package], "modules": modules})


def check_edges(workspace, catalogue, wanted):
    edges = read(workspace / "edges.json")
    for package in catalogue.outdated(wanted):
        assert package in edges
        assert edges[package]["fingerprint"] == wanted[package]


@pytest.mark.job(needs=["scan"])
def job_edges(workspace, catalogue, wanted):
    """Turn the results into edges, pairs of importing and imported module."""
    edges = {}
    for package in catalogue.outdated(wanted):
        result = read(workspace / f"{package}.json")
        pairs = [(module, target) for module, targets in result["modules"].items() for target in targets]
        edges[package] = {"fingerprint": result["fingerprint"], "pairs": pairs}
    write(workspace / "edges.json", edges)


def check_upload(catalogue, wanted):
    assert catalogue.outdated(wanted) == []


@pytest.mark.job(needs=["edges"])
def job_upload(catalogue, workspace):
    """Bring the edges into the catalogue, all or none."""
    edges = read(workspace / "edges.json")
    catalogue.upload(
        {package: found["fingerprint"] for package, found in edges.items()},
        {package: found["pairs"] for package, found in edges.items()},
    )


def describe_upload(catalogue):
    return catalogue.size()


def check_backup(backups, catalogue):
    assert backups.newest() is not None
    assert Catalogue(backups.newest()).fingerprints() == catalogue.fingerprints()


@pytest.mark.job(needs=["upload"])
def job_backup(backups, catalogue, today):
    """Copy the catalogue into a file that bears the date."""
    catalogue.backup(backups.named(today))


def check_clean(workspace):
    assert not workspace.exists()


@pytest.mark.job(needs=["backup"])
def job_clean(workspace):
    """Remove the workspace, now that everything is safe."""
    shutil.rmtree(workspace)


def check_prune(backups, params, today):
    assert backups.before(today - timedelta(days=params.keep_days)) == []


@pytest.mark.job(needs=["clean"])
def job_prune(backups, params, today):
    """Delete the backups that are older than `keep_days`, but never the newest."""
    for file in backups.before(today - timedelta(days=params.keep_days)):
        file.unlink()
