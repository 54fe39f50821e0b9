"""A project whose jobs leak their secrets in every way that comes to mind; for test_secrets.py."""

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
import urllib.parse
from pathlib import Path

PASSWORD = "hunter2"
ODD = "pä\"s'w\\ö rd<&>"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6." + "".join(chr(97 + (i * i * 7 + i) % 26) for i in range(470))
KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7zq\nKJHGkjhgkjhGKJHG87y\n-----END KEY-----\n"
PIN = 739154
SECRETS = [PASSWORD, ODD, TOKEN, str(PIN), *KEY.splitlines()]

SETTINGS = """
secrets = ["password", "db.odd", "env:API_TOKEN", "key", "pin"]
[params]
pin = 739154
[params.db]
host = "localhost"
"""

CONFTEST = """
import os, pytest

@pytest.fixture
def password(params): return params.password

@pytest.fixture
def secrets(params):
    return [params.password, params["db"]["odd"], os.environ["API_TOKEN"], params["key"], params.pin]

@pytest.fixture
def noisy(secrets):
    print("setting up", secrets)
    yield
    print("tearing down", secrets)
    raise RuntimeError(f"teardown of {secrets}")

@pytest.fixture
def broken(secrets):
    raise RuntimeError(f"set-up with {secrets[0]} {secrets[2]}")
"""

FULL = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return (yield)
"""

JOBS = """
import base64, dataclasses, json, logging, os, subprocess, sys, threading, time, urllib.parse, warnings
import pytest

def job_print(secrets):
    for one in secrets:
        print(one, [one], {"a": one}, file=sys.stderr)
        print(json.dumps([one]), json.dumps([one], ensure_ascii=False), urllib.parse.quote(str(one)))
        print(base64.b64encode(f"user:{one}".encode()).decode(), str(one).encode(), str(one).encode().hex())
    raise ValueError("shows what was printed")

def job_split(secrets):
    for stream in (sys.stdout, sys.stderr):
        for one in secrets:
            for character in str(one):
                stream.write(character)
                stream.flush()
            stream.buffer.write(b" and ")
            stream.buffer.write(str(one).encode()[:5])
            stream.buffer.write(str(one).encode()[5:])
            stream.write("\\n")
    raise ValueError("shows what was printed")

def job_descriptors(secrets):
    for one in secrets:
        for fd in (1, 2):
            data = str(one).encode()
            if "SPLIT" in os.environ:  # what jobs at once write to one descriptor cannot be told apart
                os.write(fd, data[:3])
                time.sleep(0.06)
                data = data[3:]
            os.write(fd, data + b"\\n")
    subprocess.run([sys.executable, "-c", "import sys; print(sys.argv)", *map(str, secrets)], check=True)
    raise ValueError("shows what was printed")

def job_log(secrets):
    logging.getLogger("jobs").error("logged %s %s %s %s %s", *secrets)
    raise ValueError("shows what was logged")

def job_warn(secrets):
    for one in secrets:
        warnings.warn(f"mind {one}")

def job_thread(secrets):
    thread = threading.Thread(target=lambda: print("from a thread", secrets))
    thread.start()
    thread.join()
    bad = threading.Thread(target=lambda: 1 / 0 if not secrets else secrets[0].no_such_method(secrets))
    bad.start()
    bad.join()
    raise KeyError(secrets[0])

def job_raise(secrets):
    try:
        raise ValueError(*secrets)
    except ValueError as error:
        raise RuntimeError(f"caused by {secrets}") from error

def job_exit(password):
    raise SystemExit(password)

def job_group(secrets):
    raise ExceptionGroup(f"all of {secrets[0]}", [ValueError(one) for one in secrets])

def job_named(password):
    raise type(password, (Exception,), {})(password)

def job_noted(secrets):
    error = ValueError("noted")
    error.add_note(f"a note with {secrets[1]} and {secrets[0]}")
    raise error

def job_assert(secrets):
    assert [*secrets, 1] == [*secrets, 2], f"of {secrets[0]}"

def job_compare(secrets):
    assert f"{secrets[2]}x" == f"{secrets[2]}y"

def job_differ(secrets):
    assert {"password": secrets[0], "token": secrets[2]} == {"password": "other", "token": secrets[2][:450]}

@dataclasses.dataclass
class Account:
    user: str
    password: str
    token: str

def job_locals(secrets, params):
    account = Account("me", secrets[0], secrets[2])
    cut = {"a": "x" * 96, "token": secrets[2], "password": secrets[0]}
    encoded = urllib.parse.urlencode({"q": secrets[1]})
    deep = [[[account]]]
    raise LookupError("look at the locals")

def check_gate(secrets):
    assert secrets == [], f"the state is {secrets}"

def check_odd(password):
    return password
def job_odd(): pass

def job_value(secrets):
    return {"all": secrets, "bytes": f"user:{secrets[0]}".encode()}

def job_account(secrets):
    return secrets[2]

def job_use(value, account, secrets):
    assert value["all"] == secrets and account == secrets[2]

def job_described(): pass
def describe_described(password):
    return {"url": f"https://me:{password}@example.com"}

def job_uses_described(described): return len(described["url"])

def job_progress(checkpoint, secrets):
    for one in secrets:
        with pytest.raises(ValueError) as raised:
            checkpoint.set("progress", [one])
        print("refused:", raised.value)
    checkpoint.set("progress", 1)
    checkpoint.set(secrets[0], 1)

def job_property(record_property, record_testsuite_property, record_xml_attribute, secrets):
    record_testsuite_property("token", secrets[2])
    record_xml_attribute("classname", secrets[0])
    record_property("password", secrets[0])
    record_property(secrets[0], secrets)

def job_skip(password):
    pytest.skip(f"no access with {password}")

def job_loud(noisy): pass
def job_without(broken): pass

def job_held(password):
    yield f"held {password}"
    raise ValueError(f"closing with {password}")

def job_cleanup(secrets): pass
def cleanup_cleanup(secrets):
    print("cleaning", secrets)
    raise OSError(f"cannot clean {secrets[0]} {secrets[1]}")

@pytest.mark.job(retries=1)
def job_retried(attempt, password):
    print("before:", attempt.previous_error if hasattr(attempt, "previous_error") else attempt)
    raise ConnectionError(f"refused for {password}")

@pytest.mark.job(outputs=["*.out"])
def job_file(password):
    with open(f"of-{password}.out", "w"):
        pass

@pytest.mark.job(timeout=20)
def job_timed(secrets):
    print("with a timeout", secrets)
    raise ValueError(secrets)

async def job_async(secrets):
    print("async", secrets)
    raise ValueError(secrets[0])
"""


def forms(secret):
    """What must not be found of a secret, in bytes."""
    text = [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe="")]
    text += [base64.b64encode(secret.encode()).decode(), secret.encode().hex(), repr(secret.encode())[2:-1]]
    text += [base64.b64encode(f"user:{secret}".encode()).decode()]
    if len(secret) > 100:
        text += [secret[at : at + 16] for at in range(len(secret) - 16)]
    return [one.encode() for one in text]


FORMS = [*(form for secret in SECRETS for form in forms(secret)), PASSWORD[3:].encode()]


def written(folder):
    """All files of a project but those that the user wrote, and those whose contents are the job's own."""
    given = {"conftest.py", "job_it.py", "jobtest.toml"}
    return [
        one for one in folder.rglob("*") if one.is_file() and one.name not in given and one.suffix != ".out"
    ]


def leaks(data):
    return [form for form in FORMS if form in data]


class Ran:
    """A run that is over: its exit status, what it printed, and its folder."""

    def __init__(self, folder, result):
        self.folder, self.ret = folder, result.returncode
        self.text, self.errors = result.stdout, result.stderr

    def leaked(self):
        """Where secrets can be seen, and which."""
        found = {"stdout": leaks(self.text), "stderr": leaks(self.errors)}
        for file in written(self.folder):
            if "__pycache__" not in file.parts:
                found[str(file.relative_to(self.folder))] = leaks(file.read_bytes() + file.name.encode())
        return {where: [form[:40] for form in forms[:4]] for where, forms in found.items() if forms}


def write(folder, source=JOBS, conftest=CONFTEST, settings=SETTINGS):
    for name, text in {"job_it.py": source, "conftest.py": conftest, "jobtest.toml": settings}.items():
        (Path(folder) / name).write_text(textwrap.dedent(text), encoding="utf-8")


def run(folder, *args):
    """Run the project of a folder as users do; nothing of it is captured but by pipes."""
    given = [
        f"password={PASSWORD}",
        f"key={json.dumps(KEY)}",
        f"db={{odd={json.dumps(ODD, ensure_ascii=False)}}}",
    ]
    command = [sys.executable, "-m", "pytest", "--orchestrate", "-p", "no:hypothesispytest"]
    command += [part for one in given for part in ("--job-set", one)]
    env = {**os.environ, "API_TOKEN": TOKEN, "PYTHONDONTWRITEBYTECODE": "1"}
    if "-J1" in args or "--job-executor=process" in args:
        env["SPLIT"] = "1"
    result = subprocess.run(
        [*command, *args], cwd=folder, env=env, capture_output=True, check=False, timeout=120
    )
    return Ran(Path(folder), result)


def outcomes(ran):
    """From `12 jobs: 3 changed, ...`, for a look at whether jobs did what they should."""
    return re.search(rb"\d+ jobs: .*", ran.text)[0].decode()
