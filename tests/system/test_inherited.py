"""A component runs with the same limits, priority and signals whoever starts it."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.settings.load import ROOT
from tasks.system import inherited

START = """
import sys
from pathlib import Path
from tasks.system import process
folder = Path(sys.argv[1])
code = open("tests/system/inherited_state.py").read()
env = process.environment("toy", folder, {})
record = process.spawn("toy", (sys.executable, "-c", code), env, cwd=folder,
    log=folder / "state", fingerprint="", exit_file=folder / "exit" if sys.argv[2:] else None)
process.until(lambda: not record.identity.alive(), lambda: True, 60)
"""
BAD = """
ulimit -S -n 256; ulimit -S -f 100000; ulimit -S -v 50000000
trap '' HUP INT TERM PIPE USR1
exec 9</dev/null
exec $NICE chrt --batch 0 taskset -c 0 "$@"
"""
WITH_MASK = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
open("/proc/self/oom_score_adj", "w").write("500")
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
LOCALE = {
    "LC_ALL": "de_DE.UTF-8",
    "LANG": "de_DE.UTF-8",
    "TMPDIR": "/no/such",
    "PATH": "/usr/bin:.",
}


def state(folder: Path, shell: list[str], reaper: list[str], **env: str) -> dict[str, str]:
    folder.mkdir()
    program = [sys.executable, "-c", WITH_MASK, START, str(folder), *reaper]
    subprocess.run([*shell, *program], cwd=ROOT, env={**os.environ, **env}, check=True, timeout=60)
    found: dict[str, str] = json.loads((folder / "state").read_text())
    return found


@pytest.mark.parametrize("reaper", [[], ["with"]])
def test_a_bad_shell_makes_no_difference(tmp_path: Path, reaper: list[str]) -> None:
    nice = (
        "nice -n 7" if inherited._has(inherited.CAP_SYS_NICE) else ""
    )  # nobody else takes it back
    good = state(tmp_path / "good", ["sh", "-c", 'exec "$@"', "sh"], reaper)
    bad = state(tmp_path / "bad", ["bash", "-c", BAD, "bash"], reaper, **LOCALE, NICE=nice)
    path = good.pop("PATH"), bad.pop("PATH")
    assert bad == good
    assert all("/usr/sbin" in words.split(":") and "." not in words.split(":") for words in path)
    assert good["nice"] == "0" and good["oom"] == "0" and good["masked"] == "0" * 16
    assert good["ignored"] == "0" * 16
    assert good["open files"] == str((inherited.open_files(),) * 2)
    assert good["file size"] == good["memory"]


def test_what_an_older_stepkube_started_needs_no_restart() -> None:
    assert inherited.is_current("abc", "abc")
    assert not inherited.is_current("abc", "abd")


def test_a_better_shell_repairs_a_bad_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inherited, "_has", lambda _: False)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    monkeypatch.setattr(os, "getpriority", lambda *_: 7)
    recorded = inherited.with_shortfall("abc")
    assert recorded != "abc"
    assert inherited.is_current(recorded, "abc"), "this shell can give it no more"
    assert not inherited.is_current(recorded, "abd")
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    assert not inherited.is_current(recorded, "abc")
    monkeypatch.setattr(os, "getpriority", lambda *_: 7)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1048576))
    assert not inherited.is_current(recorded, "abc")
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    assert inherited.with_shortfall(recorded) == "abc"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert inherited.is_current("abc", "abc"), "a bad shell restarts nothing"
