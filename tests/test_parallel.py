"""Processes that make things do not outlive the one that asked for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, time
from pathlib import Path
from discontrolface.common.parallel import run_pool

def work(job):
    folder, number = job
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    import sys
    list(run_pool([(sys.argv[1], k) for k in range(2)], 2, work))
"""


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks processes up in /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_a_killed_command_leaves_no_process_behind(how: signal.Signals, tmp_path: Path) -> None:
    script, seen = tmp_path / "script.py", tmp_path / "seen"
    script.write_text(SCRIPT)
    seen.mkdir()
    with subprocess.Popen([sys.executable, str(script), str(seen)]) as command:
        deadline = time.monotonic() + 120
        while len(list(seen.iterdir())) < 2:
            assert time.monotonic() < deadline
            assert command.poll() is None
            time.sleep(0.1)
        workers = [int(path.name) for path in seen.iterdir()]
        assert all(map(runs, workers))
        command.send_signal(how)
    deadline = time.monotonic() + 30
    while left := [pid for pid in workers if runs(pid)]:
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"{len(left)} of {len(workers)} go on")
        time.sleep(0.1)
