"""The graphs that are measured, and how each tool is told about them.

A shape is a tuple: entry `i` holds the numbers of the jobs that job `i` needs, always smaller than `i`. Every
writer turns any shape into a project of its tool, except where its docstring says otherwise.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Shape = tuple[tuple[int, ...], ...]
FUNCTIONS_PER_FILE = 500
PARAMETERS_AT_MOST = 100  # a job that needs more is written with the mark, as a person would


def independent(jobs: int) -> Shape:
    """Jobs that need nothing."""
    return ((),) * jobs


def chain(jobs: int) -> Shape:
    """Each job needs the one before it."""
    return ((), *((number,) for number in range(jobs - 1)))


def layers(depth: int, width: int) -> Shape:
    """`depth` layers of `width` jobs, each needing three of the layer before; every job is needed by some."""
    first: Shape = ((),) * width
    return first + tuple(
        tuple((layer - 1) * width + (place * 7 + k * 31) % width for k in range(min(3, width)))
        for layer in range(1, depth)
        for place in range(width)
    )


def fan(width: int) -> Shape:
    """One job, `width` jobs that need it, one job that needs them all."""
    return ((), *((0,) for _ in range(width)), tuple(range(1, width + 1)))


def edges(shape: Shape) -> int:
    """How many edges a shape has."""
    return sum(map(len, shape))


def name(number: int) -> str:
    """The name of a job, the same in every tool."""
    return f"n{number:05}"


def _files(shape: Shape) -> Iterator[tuple[int, Sequence[tuple[int, tuple[int, ...]]]]]:
    """Numbered slices of the shape, one per source file."""
    numbered = list(enumerate(shape))
    for start in range(0, len(numbered), FUNCTIONS_PER_FILE):
        yield start // FUNCTIONS_PER_FILE, numbered[start : start + FUNCTIONS_PER_FILE]


def _job(number: int, needs: tuple[int, ...], body: str, define: str = "def") -> str:
    """One job function: edges are parameters, or the mark where there are very many."""
    names = [name(need) for need in needs]
    if len(names) > PARAMETERS_AT_MOST:
        return f"@pytest.mark.job(needs={names!r})\n{define} job_{name(number)}():\n    {body}\n"
    return f"{define} job_{name(number)}({', '.join(names)}):\n    {body}\n"


def write_jobtest(folder: Path, shape: Shape, body: str = "pass", define: str = "def") -> None:
    """`job_*.py` files below a rootdir of its own."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for part, slice_ in _files(shape):
        source = "\n\n".join(_job(number, needs, body, define) for number, needs in slice_)
        head = "import time\n\nimport pytest\n\n\n" if body != "pass" or "@pytest" in source else ""
        (folder / f"job_part{part:02}.py").write_text(head + source)


def with_settings(settings: str) -> Callable[[Path, Shape], None]:
    """As `write_jobtest`, with these lines in `jobtest.toml`."""

    def write(folder: Path, shape: Shape) -> None:
        write_jobtest(folder, shape)
        (folder / "jobtest.toml").write_text(f"{settings}\n")

    return write


_CHECKED = """from pathlib import Path

MARK = Path(__file__).with_name("done.txt")
ALL_DONE = MARK.exists()
DONE = set()
"""


def write_checked(folder: Path, shape: Shape) -> None:
    """Jobs with checks that hold once their bodies have run: in that process, and in all after the last body.

    They cost next to nothing. A first run calls each check, its body and the check again; a second one only
    the check. Without edges.
    """
    (folder / "pytest.ini").write_text("[pytest]\n")
    for part, slice_ in _files(shape):
        source = _CHECKED
        for number, _ in slice_:
            mark = "\n    MARK.touch()" if number == len(shape) - 1 else ""
            source += f"\n\ndef check_{name(number)}():\n    return ALL_DONE or {number} in DONE\n"
            source += f"\n\ndef job_{name(number)}():\n    DONE.add({number}){mark}\n"
        (folder / f"job_part{part:02}.py").write_text(source)


_DEADLY = """spared = Path(__file__).with_name("killed.txt")
    if not spared.exists():
        spared.touch()
        os.kill(os.getpid(), signal.SIGKILL)"""


def write_deadly(folder: Path, shape: Shape) -> None:
    """As `write_jobtest`, but the job in the middle kills its process the first time."""
    write_jobtest(folder, shape)
    middle = len(shape) // 2
    file = folder / f"job_part{middle // FUNCTIONS_PER_FILE:02}.py"
    plain, deadly = (_job(middle, shape[middle], body) for body in ("pass", _DEADLY))
    source = file.read_text().replace(plain, deadly)
    file.write_text(f"import os\nimport signal\nfrom pathlib import Path\n\n\n{source}")


def write_pytest(folder: Path, shape: Shape) -> None:
    """As many plain tests in as many files; tests have no edges."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for part, slice_ in _files(shape):
        source = "\n\n".join(f"def test_{name(number)}():\n    pass\n" for number, _ in slice_)
        (folder / f"test_part{part:02}.py").write_text(source)


def write_pytask(folder: Path, shape: Shape) -> None:
    """As many tasks in as many files, without the edges (pytask's go through files or in-memory nodes)."""
    (folder / "pyproject.toml").write_text("[tool.pytask.ini_options]\n")
    for part, slice_ in _files(shape):
        source = "\n\n".join(f"def task_{name(number)}():\n    pass\n" for number, _ in slice_)
        (folder / f"task_part{part:02}.py").write_text(source)


_DOIT = """from shape import NEEDS


def nothing():
    pass


def task_n():
    for number, needs in enumerate(NEEDS):
        yield {"name": str(number), "actions": [nothing], "task_dep": [f"n:{need}" for need in needs]}
"""


def write_doit(folder: Path, shape: Shape) -> None:
    """Sub-tasks of one task creator, the way doit makes many tasks."""
    (folder / "shape.py").write_text(f"NEEDS = {shape!r}\n")
    (folder / "dodo.py").write_text(_DOIT)


def write_doit_once(folder: Path, shape: Shape) -> None:
    """The same, as tasks that a second run finds up to date."""
    (folder / "shape.py").write_text(f"NEEDS = {shape!r}\n")
    once = _DOIT.replace('"actions": [nothing]', '"actions": [nothing], "uptodate": [run_once]')
    (folder / "dodo.py").write_text(f"from doit.tools import run_once\n{once}")


_LUIGI = """import luigi
from shape import NEEDS

DONE = set()


class Work(luigi.Task):
    number = luigi.IntParameter()

    def requires(self):
        return [Work(number=need) for need in NEEDS[self.number]]

    def complete(self):
        return self.number in DONE

    def run(self):
        DONE.add(self.number)


everything = [Work(number=number) for number in range(len(NEEDS))]
luigi.build(everything, local_scheduler=True, workers=1, log_level="ERROR")
print(f"{len(DONE)} done")
"""


def write_luigi(folder: Path, shape: Shape) -> None:
    """One parametrised task class, the local scheduler, no target on disk."""
    (folder / "shape.py").write_text(f"NEEDS = {shape!r}\n")
    (folder / "flow.py").write_text(_LUIGI)


_DOJOBBER = """from dojobber import DoJobber, DummyJob, RunonlyJob
from shape import NEEDS

DONE = []


def run(self, *args, **kwargs):
    DONE.append(None)


CLASSES = []
for number, needs in enumerate(NEEDS):
    upstream = [CLASSES[need] for need in needs]
    CLASSES.append(type(f"N{number:05}", (RunonlyJob,), {"DEPS": upstream, "Run": run}))
wanted = set(range(len(NEEDS))).difference(*NEEDS)
Everything = type("Everything", (DummyJob,), {"DEPS": [CLASSES[number] for number in sorted(wanted)]})

runner = DoJobber()
runner.configure(Everything)
runner.checknrun()
print(f"{len(DONE)} done, {runner.success()}")
"""


def write_dojobber(folder: Path, shape: Shape) -> None:
    """Run-only classes below one root that does nothing."""
    (folder / "shape.py").write_text(f"NEEDS = {shape!r}\n")
    (folder / "flow.py").write_text(_DOJOBBER)


def write_make(folder: Path, shape: Shape) -> None:
    """Phony targets; `@true` is a process without a shell, the cheapest that make can start."""
    names = " ".join(name(number) for number in range(len(shape)))
    rules = "".join(
        f"{name(number)}: {' '.join(map(name, needs))}\n\t@true\n" for number, needs in enumerate(shape)
    )
    (folder / "Makefile").write_text(f"all: {names}\n.PHONY: all {names}\n{rules}")


def fresh(folder: Path, write: Callable[[Path, Shape], None], shape: Shape) -> Path:
    """An empty folder with one project in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(folder, shape)
    return folder
