"""Code that is packed, shipped and unpacked."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.engine.executors.dask import sources
from jobtest.engine.executors.dask.sources import TooLarge, differing, pack, prints_of, unpack

NAMES = st.lists(
    st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda parts: f"{'/'.join(f'd{part}' for part in parts)}.py"
    ),
    unique=True,
    max_size=6,
)


@given(
    files=NAMES.flatmap(lambda names: st.fixed_dictionaries({name: st.binary(max_size=50) for name in names}))
)
def test_what_is_shipped_is_the_same_there(tmp_path_factory, files):
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    for name, data in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(data)
    prints = prints_of(here)
    assert sorted(prints) == sorted(files)
    assert differing(there, prints) == list(prints)
    unpack(pack(here, prints), there)
    assert prints_of(there) == prints
    assert differing(there, prints) == []


def test_a_file_that_was_edited_differs(tmp_path):
    (tmp_path / "job_a.py").write_text("1")
    prints = prints_of(tmp_path)
    (tmp_path / "job_a.py").write_text("2")
    assert differing(tmp_path, prints) == ["job_a.py"]


def test_what_is_no_code_of_the_project_is_passed_over(tmp_path):
    for name in ("a.py", "data.csv", ".git/x.py", "venv/y.py", "env/pyvenv.cfg", "env/lib/z.py", "old/w.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(prints_of(tmp_path, ["old"])) == ["a.py"]


@pytest.mark.parametrize("name", ["../out.py", "/out.py", "a/../../out.py", "a\\..\\out.py"])
def test_nothing_is_written_if_a_name_leads_out_of_the_folder(tmp_path, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("fine.py", "")
        archive.writestr(name, "")
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match="leads out of the folder"):
        unpack(packed.getvalue(), folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_too_much_code_is_neither_packed_nor_unpacked(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("x" * 100)
    packed = pack(tmp_path, ["a.py"])
    monkeypatch.setattr(sources, "LARGEST", 99)
    with pytest.raises(TooLarge):
        pack(tmp_path, ["a.py"])
    with pytest.raises(ValueError, match="more than"):
        unpack(packed, tmp_path / "there")
