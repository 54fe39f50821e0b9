"""The steps of the pipeline as task types, for `job_scan.toml` and `job_scan.conf`.

A task type is a function `task_NAME`. What it takes is given under `args`, or is a fixture of `conftest.py`,
as `library` and `wanted` are. A `check_task_NAME` says what the desired state is.
"""

from pathlib import Path

import lineage
from catalogue import Catalogue
from job_scan_pipeline import read, write
from lineage import SKIP


def check_task_scanner(workspace: Path, catalogue: Path, wanted, library):
    if Catalogue(catalogue).outdated(wanted):
        assert read(workspace / "scanner.json") == {"library": str(library), "skip": SKIP}


def task_scanner(workspace: Path, library):
    """Set up the scanner: write its configuration."""
    write(workspace / "scanner.json", {"library": str(library), "skip": SKIP})


def check_task_scan(package: str, workspace: Path, catalogue: Path, wanted):
    if package in Catalogue(catalogue).outdated(wanted):
        assert read(workspace / f"{package}.json").get("fingerprint") == wanted[package]


def task_scan(package: str, workspace: Path, library, wanted):
    """Scan one package for its imports."""
    modules = lineage.scan(library, package, read(workspace / "scanner.json")["skip"])
    write(workspace / f"{package}.json", {"fingerprint": wanted[package], "modules": modules})


def check_task_upload(catalogue: Path, wanted):
    assert Catalogue(catalogue).outdated(wanted) == []


def task_upload(workspace: Path, catalogue: Path, wanted):
    """Turn the results into edges, and bring them into the catalogue, all or none."""
    outdated = Catalogue(catalogue).outdated(wanted)
    results = {package: read(workspace / f"{package}.json") for package in outdated}
    catalogue.parent.mkdir(exist_ok=True)
    Catalogue(catalogue).upload(
        {package: result["fingerprint"] for package, result in results.items()},
        {
            package: [(module, target) for module, found in result["modules"].items() for target in found]
            for package, result in results.items()
        },
    )


def describe_task_upload(catalogue: Path):
    return Catalogue(catalogue).size()
