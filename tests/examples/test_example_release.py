import shlex
import subprocess

import pytest

pytestmark = pytest.mark.rarely


@pytest.fixture(scope="module")
def story(copy_of):
    return copy_of("release").play()


def test_the_terminal_shows_what_expected_txt_says(story):
    assert story.printed == story.expected


def test_the_first_run_brings_everything_about_but_the_gate(story):
    assert story[0].exit_code == 0
    assert story[0].recap == "7 jobs: 1 unchanged, 6 changed"
    assert story[0].having("unchanged") == {"wheel"}


def test_the_second_run_changes_nothing(story):
    assert story[1].exit_code == 0
    assert story[1].recap == "7 jobs: 7 unchanged"


def test_the_plan_of_a_new_version_runs_nothing(story):
    assert story[2].exit_code == 0
    assert story[2].having("would-run") == {"build", "smoke"}
    assert story[2].having("unknown") == {"wheel", "sums", "signature", "publish"}


def test_a_new_version_changes_all_but_the_key(story):
    assert story[3].exit_code == 0
    assert story[3].having("unchanged") == {"key", "wheel"}


def test_a_plan_that_was_carried_out_is_not_carried_out_again(copy_of, story):
    again, _ = story.runs[3]
    done = copy_of(story.example).run(*shlex.split(again)[1:])
    assert done.exit_code == 4
    assert "job_build: its verdict was would-run and is now unchanged: check holds" in done.output


def test_the_index_holds_both_versions_with_their_checksums(story):
    index = story.example.folder / "work" / "index" / "greeter"
    wheels = ["greeter-1.4-py3-none-any.whl", "greeter-1.5-py3-none-any.whl"]
    assert sorted(file.name for file in index.glob("*.whl")) == wheels
    lines = (index / "SHA256SUMS").read_text().splitlines()
    for wheel, line in zip(wheels, lines, strict=True):
        checksum, name = line.split()
        assert name == wheel
        assert f'href="{wheel}#sha256={checksum}"' in (index / "index.html").read_text()


def test_the_smoke_environment_has_the_new_version(story):
    greeter = story.example.folder / "work" / "smoke" / "bin" / "greeter"
    assert (
        subprocess.run([greeter, "--version"], capture_output=True, text=True, check=True).stdout
        == "greeter 1.5\n"
    )


@pytest.mark.rarely
def test_a_wheel_that_is_not_what_its_record_says_is_stopped_at_the_gate(copy_of):
    example = copy_of("release")
    backend = example.folder / "greeter" / "build_backend.py"
    text = backend.read_text()
    assert "hashlib.sha256(content)" in text
    backend.write_text(text.replace("hashlib.sha256(content)", "hashlib.sha256(content.upper())"))
    done = example.run("--orchestrate")
    assert done.exit_code == 1
    assert done.having("changed") == {"build", "key"}
    assert done.having("failed") == {"wheel"}
    assert done.having("blocked") == {"sums", "signature", "publish", "smoke"}


@pytest.mark.rarely
def test_new_code_under_an_old_version_is_built_published_and_installed(copy_of, story):
    example = copy_of(story.example)
    module = example.folder / "greeter" / "src" / "greeter" / "__init__.py"
    module.write_text(module.read_text().replace("Hello", "Good morning"))
    done = example.run("--orchestrate", "--job-set", 'version="1.5"')
    assert done.having("changed") == {"build", "sums", "signature", "publish", "smoke"}
    greeter = example.folder / "work" / "smoke" / "bin" / "greeter"
    assert (
        subprocess.run([greeter], capture_output=True, text=True, check=True).stdout
        == "Good morning, world!\n"
    )
