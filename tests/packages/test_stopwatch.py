"""The script that stops the time of each installation: that it works. How fast it is, no test asserts."""

import re
import sys

from conftest import ROOT, run


def test_each_installation_reaches_the_first_call(dist):
    printed = run(sys.executable, ROOT / "tests/packages/stopwatch.py", dist, "--runs", "1").stdout
    rows = re.findall(r"^\| (.+) \| (\d+\.\d\d) s \| (\d+\.\d\d) s \|$", printed, re.M)
    assert [name.split()[0].strip("`,") for name, _, _ in rows] == ["npx", "uvx", "install.sh", "the"], printed
    assert all(float(figure) > 0 for row in rows for figure in row[1:]), printed
