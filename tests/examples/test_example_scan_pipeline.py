import shutil
import sqlite3
import tarfile
from contextlib import closing

import pytest


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("scan_pipeline").play()


@pytest.fixture(scope="module")
def refused(story):
    return story[0]


@pytest.fixture(scope="module")
def uploaded(story):
    return story[1]


@pytest.fixture(scope="module")
def again(story):
    return story[2]


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_a_failing_upload_blocks_what_follows(refused):
    assert refused.exit_code == 1
    assert refused.recap == "18 jobs: 14 changed, 1 failed, 3 blocked"
    assert refused.having("failed") == {"upload"}
    assert refused.having("blocked") == {"backup", "clean", "prune"}
    assert refused.jobs["clean"]["blocked_by"] == [refused.jobs["upload"]["id"]]


def test_a_failing_upload_leaves_the_workspace_for_the_next_run(uploaded):
    assert uploaded.exit_code == 0
    assert uploaded.having("changed") == {"upload", "backup", "clean"}


def test_the_next_run_changes_nothing(again):
    assert again.exit_code == 0
    assert again.recap == "18 jobs: 18 unchanged"


@pytest.fixture(scope="module")
def in_toml(story):
    return story[3], story[4]


def rows(catalogue):
    with closing(sqlite3.connect(catalogue)) as connection:
        return [
            connection.execute(f"select * from {table} order by 1, 2").fetchall()
            for table in ("package", "import")
        ]


def test_the_same_in_toml_fails_and_goes_on_in_the_same_way(in_toml):
    failed, uploaded = in_toml
    assert failed.having("failed") == {"upload"}
    assert failed.having("blocked") == {"backup", "clean", "prune"}
    assert uploaded.having("changed") == {"upload", "backup", "clean"}


def test_the_same_in_hocon_does_the_whole_at_once(story):
    assert story[5].recap == "17 jobs: 1 unchanged, 16 changed"


def test_nothing_is_left_to_do_in_any_of_the_three(story):
    assert story[6].recap == "52 jobs: 52 unchanged"


@pytest.mark.parametrize("way", ["toml", "hocon"])
def test_all_three_come_to_the_same_catalogue_and_a_backup_of_it(story, way, tmp_path):
    work = story.example.folder / "work"
    wanted = rows(work / "catalogue.sqlite")
    assert rows(work / way / "catalogue" / "catalogue.sqlite") == wanted
    (backup,) = (work / way / "backups").iterdir()
    with tarfile.open(backup) as archive:
        archive.extractall(tmp_path, filter="data")
    assert rows(tmp_path / "catalogue" / "catalogue.sqlite") == wanted
    assert not (work / way / "scan").exists()


@pytest.mark.rarely
def test_a_run_without_memory_changes_nothing_either(copy_of, story):
    example = copy_of(story.example)
    shutil.rmtree(example.folder / ".jobtest")
    assert example.run("--orchestrate", "job_scan_pipeline.py").recap == "18 jobs: 18 unchanged"


def test_the_catalogue_knows_who_imports_whom(uploaded, story):
    with closing(sqlite3.connect(story.example.folder / "work" / "catalogue.sqlite")) as catalogue:
        found = catalogue.execute("select target from import where source = 'json.decoder'").fetchall()
        (imports,) = catalogue.execute("select count(*) from import").fetchone()
    assert ("json",) in found
    assert ("re",) in found
    assert uploaded.jobs["upload"]["value"] == {"packages": 12, "imports": imports}


def test_the_workspace_is_gone_and_a_backup_is_there(uploaded, story):
    assert not (story.example.folder / "work" / "scan").exists()
    (backup,) = (story.example.folder / "work" / "backups").iterdir()
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("select count(*) from package").fetchone() == (12,)


@pytest.mark.rarely
def test_a_change_of_one_package_scans_that_package_only(copy_of, story):
    example = copy_of(story.example)
    with closing(sqlite3.connect(example.folder / "work" / "catalogue.sqlite")) as catalogue, catalogue:
        before = catalogue.execute("select * from import order by 1, 2, 3").fetchall()
        catalogue.execute("update package set fingerprint = 'of yesterday' where name = 'json'")
    done = example.run("--orchestrate", "job_scan_pipeline.py")
    assert done.having("changed") == {"scanner", "scan[json]", "edges", "upload", "clean"}
    with closing(sqlite3.connect(example.folder / "work" / "catalogue.sqlite")) as catalogue:
        assert catalogue.execute("select * from import order by 1, 2, 3").fetchall() == before


@pytest.mark.rarely
def test_old_backups_are_deleted_but_never_the_newest(copy_of, story):
    example = copy_of(story.example)
    backups = example.folder / "work" / "backups"
    (newest,) = backups.iterdir()
    newest.rename(backups / "catalogue-2001-02-03.sqlite")
    (backups / "catalogue-2001-01-01.sqlite").touch()
    assert example.run("--orchestrate", "job_scan_pipeline.py").having("changed") == {"prune"}
    assert [file.name for file in backups.iterdir()] == ["catalogue-2001-02-03.sqlite"]


@pytest.mark.rarely
def test_an_upload_that_breaks_half_way_leaves_the_catalogue_as_it_was(copy_of):
    example = copy_of("scan_pipeline")
    (example.folder / "work").mkdir()
    with closing(sqlite3.connect(example.folder / "work" / "catalogue.sqlite")) as catalogue:
        catalogue.executescript("""
            create table package (name text primary key, fingerprint text not null);
            create table import (package text, source text, target text, primary key (source, target));
            create trigger closed before insert on import when new.package = 'xml'
            begin select raise(abort, 'the catalogue takes nothing that begins with x'); end;
        """)
    done = example.run("--orchestrate", "job_scan_pipeline.py")
    assert done.having("failed") == {"upload"}
    assert "the catalogue takes nothing that begins with x" in done.output
    with closing(sqlite3.connect(example.folder / "work" / "catalogue.sqlite")) as catalogue:
        assert catalogue.execute("select count(*) from package").fetchone() == (0,)
        assert catalogue.execute("select count(*) from import").fetchone() == (0,)
