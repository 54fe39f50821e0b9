"""A release: from the sources of a package to an environment that has installed it from an index.

    build -> wheel -> sums -> signature -> publish -> smoke
                       key -> signature

`wheel` has a check and no job: a gate, that lets nothing pass but a sound wheel. Each check compares one
result with what it was made from, so that new sources or a new version bring all that depends on them up
to date, and nothing else.
"""

import base64
import csv
import filecmp
import hashlib
import hmac
import secrets
import shutil
import subprocess
import sys
import zipfile
from venv import EnvBuilder

import pytest


def pip(*arguments):
    """Run pip without any configuration from outside; what it says becomes output of the job."""
    command = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    done.check_returncode()


def code(sources):
    """The modules of the package: file name to content."""
    return {file.name: file.read_text() for file in sources.glob("*.py")}


def check_build(dist, version, sources):
    with zipfile.ZipFile(dist / f"greeter-{version}-py3-none-any.whl") as wheel:
        modules = [name for name in wheel.namelist() if name.startswith("greeter/")]
        built = {name.removeprefix("greeter/"): wheel.read(name).decode() for name in modules}
    assert built == code(sources)


def job_build(dist, version):
    """Build the wheel of this version."""
    pip(
        "wheel", "./greeter", "--wheel-dir", dist, "--config-settings", f"version={version}",
        "--no-deps", "--no-index", "--no-build-isolation",
    )  # fmt: skip


def describe_build(dist, version):
    return dist / f"greeter-{version}-py3-none-any.whl"


def check_wheel__record(build):
    """The wheel holds exactly what its RECORD says."""
    with zipfile.ZipFile(build) as wheel:
        (record,) = (name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
        recorded = {name: digest for name, digest, _ in csv.reader(wheel.read(record).decode().splitlines())}
        assert recorded.pop(record) == ""
        found = {name: hashlib.sha256(wheel.read(name)) for name in wheel.namelist() if name != record}
    assert recorded == {
        name: "sha256=" + base64.urlsafe_b64encode(sha256.digest()).rstrip(b"=").decode()
        for name, sha256 in found.items()
    }


def check_wheel__metadata(build, version):
    """The wheel says the name and the version that it is released under."""
    with zipfile.ZipFile(build) as wheel:
        metadata = wheel.read(f"greeter-{version}.dist-info/METADATA").decode().splitlines()
    assert "Name: greeter" in metadata
    assert f"Version: {version}" in metadata


def sums(dist):
    """The SHA-256 sums of all wheels, in the format of the command `sha256sum`."""
    wheels = sorted(dist.glob("*.whl"))
    return "".join(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels)


def check_sums(dist):
    assert (dist / "SHA256SUMS").read_text() == sums(dist)


@pytest.mark.job(needs=["wheel"])
def job_sums(dist):
    """Write down the checksums of the wheels."""
    (dist / "SHA256SUMS").write_text(sums(dist))


def check_key(key_file):
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert len(key_file.read_text()) == 64


def job_key(key_file):
    """Make the key of the signature, once, for the eyes of its owner only."""
    key_file.parent.mkdir(parents=True, exist_ok=True)
    key_file.touch(mode=0o600)
    key_file.chmod(0o600)
    if len(key_file.read_text()) != 64:
        key_file.write_text(secrets.token_hex(32))


def signature(dist, key_file):
    """The signature of SHA256SUMS: a keyed hash, to be verified by those who have the key."""
    return hmac.digest(key_file.read_bytes(), (dist / "SHA256SUMS").read_bytes(), "sha256").hex()


def check_signature(dist, key_file):
    assert hmac.compare_digest((dist / "SHA256SUMS.hmac").read_text(), signature(dist, key_file))


@pytest.mark.job(needs=["sums", "key"])
def job_signature(dist, key_file):
    """Sign the checksums."""
    (dist / "SHA256SUMS.hmac").write_text(signature(dist, key_file))


def page(links):
    """A page of links as pip reads it: text to address."""
    anchors = "".join(f'<a href="{address}">{text}</a><br>\n' for text, address in links.items())
    return f"<!DOCTYPE html>\n<html>\n<body>\n{anchors}</body>\n</html>\n"


def project_page(dist):
    """The page of the project: all wheels, each with its checksum."""
    lines = (line.split() for line in (dist / "SHA256SUMS").read_text().splitlines())
    return page({wheel: f"{wheel}#sha256={checksum}" for checksum, wheel in lines})


def check_publish(dist, index):
    for file in dist.iterdir():
        assert filecmp.cmp(file, index / "greeter" / file.name, shallow=False)
    assert (index / "greeter" / "index.html").read_text() == project_page(dist)
    assert (index / "index.html").read_text() == page({"greeter": "greeter/"})


@pytest.mark.job(needs=["signature"])
def job_publish(dist, index):
    """Copy the wheels into the index; the pages come last, so that they never name a missing file."""
    shutil.copytree(dist, index / "greeter", dirs_exist_ok=True)
    (index / "greeter" / "index.html").write_text(project_page(dist))
    (index / "index.html").write_text(page({"greeter": "greeter/"}))


def check_smoke(environment, version):
    command = [environment / "bin" / "greeter", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == f"greeter {version}\n"


def check_smoke__code(environment, sources):
    """What is installed is what lies in the sources."""
    installed = environment.glob("lib/python*/site-packages/greeter/*.py")
    assert {file.name: file.read_text() for file in installed} == code(sources)


@pytest.mark.job(needs=["publish"])
def job_smoke(environment, index, version):
    """Install the release from the index into a fresh environment, and ask it for its version."""
    EnvBuilder(clear=True, symlinks=True).create(environment)
    pip(
        "--python", environment / "bin" / "python", "install", "--no-cache-dir",
        "--index-url", index.absolute().as_uri(), f"greeter=={version}",
    )  # fmt: skip
