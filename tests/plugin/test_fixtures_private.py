"""The private names of pytest: they are there, and only one file uses them."""

import re
from pathlib import Path

import pytest

import jobtest
from jobtest.plugin import fixtures


@pytest.mark.parametrize("what", fixtures.PRIVATE)
def test_pytest_has_the_private_name(what):
    owner, name = fixtures.PRIVATE[what]
    assert hasattr(owner, name), f"pytest {pytest.__version__} has changed {what}: {owner.__name__}.{name} is gone"


def test_no_other_file_uses_private_modules_of_pytest():
    package = Path(jobtest.__file__).parent
    using = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if re.search(r"^\s*(from|import) _pytest", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert using == ["plugin/fixtures.py"]
