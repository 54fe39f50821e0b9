"""Output without end does not fill the disk (R70)."""

import pytest
from processes import run

pytestmark = pytest.mark.rarely

CAP = 16

CONFTEST = f"""
from jobtest.engine.executors.process import output
output.CAP = {CAP} << 20
"""

SOURCE = """
@alone
def job_flood():
    piece, most = b"x" * (1 << 20), 0
    for _ in range(400):
        os.write(1, piece)
        most = max(most, os.fstat(1).st_blocks * 512 >> 20)
    Path("most").write_text(str(most))
    os.write(1, b"the end")

@alone
def job_dies(flood):
    for _ in range(100):
        os.write(2, b"y" * (1 << 20))
    os._exit(3)
"""


def test_output_without_end_loses_its_middle_and_that_is_said(tmp_path):
    far = run(tmp_path, SOURCE, conftest=CONFTEST)
    assert far.outcomes == {"flood": "changed", "dies": "failed"}, far.text
    (most,) = far.notes("most")
    assert int(most) < CAP + 64
    assert far.printed("flood").endswith("the end")
    for name, stream in (("flood", "stdout"), ("dies", "stderr")):
        assert f"of them are lost: it printed more than {CAP // 2} MB]" in far.printed(name, stream)
