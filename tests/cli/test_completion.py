"""Completion: the scripts in real shells, and the words that they get."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.cli import completion, help_command, program
from tasks.cli.candidates import Choices, candidates
from tasks.settings.load import ROOT
from tasks.settings.table import table
from tests.support.doit import Done, doit


def answer(home: Path, line: str, **environ: str) -> Done:
    return doit(home, "completion", "--candidates", COMP_LINE=line, **environ)


def words(home: Path, line: str, **environ: str) -> list[str]:
    """Return the candidates for a line with the cursor at its end."""
    done = answer(home, line, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return [row.partition("\t")[0] for row in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "some", "not_these"),
    [
        ("doit ", {"up", "debug", "help", "version=", "api."}, {"sources", "_cluster-runs"}),
        ("doit sour", {"sources", "sources:kubelet"}, {"up"}),
        ("doit b", {"build", "break", "bench"}, {"build:kubelet"}),
        ("doit debug", {"debug", "debug:kubelet", "debug.base_port="}, {"undebug"}),
        ("doit debug:kube-", {"debug:kube-proxy"}, {"debug:kubelet", "undebug:kube-proxy"}),
        ("doit down st", {"status", "stop", "start.mode="}, {"up"}),
        ("doit help re", {"restart", "reset"}, {"up"}),
        ("doit help l", {"list", "load"}, set()),
        ("doit clean i", {"ide"}, {"info"}),
        ("doit up --", {"--output", "--guess", "--timeline", "--help"}, {"--mode"}),
        ("doit debug:kubelet --", {"--mode", "--stop-at-entry"}, {"--guess"}),
        ("doit up debug:kubelet --m", {"--mode"}, set()),
        ("doit debug:kubelet --mode ", {"attach", "exec"}, {"up"}),
        ("doit debug:kubelet --mode=e", {"--mode=exec"}, {"--mode=attach"}),
        ("doit debug:kubelet --mode exec --", {"--listen"}, set()),
        ("doit status -o ", {"text", "json"}, {"up"}),
        ("doit up -o status ", {"down"}, {"--mode"}),
        ("doit -", {"--continue", "--process", "--help"}, set()),
        ("doit list --a", {"--all"}, set()),
        ("doit list up -", {"--all"}, {"--guess"}),
        ("doit logs ku", {"kubelet", "kube-proxy"}, {"kubectl", "logs:kubelet"}),
        ("doit logs kubelet et", {"etcd", "etcd.port="}, set()),
        ("doit completion ", {"bash", "zsh", "fish"}, {"up"}),
        ("doit up api.sec", {"api.secure_port="}, {"api.host="}),
        ("doit up build.cgo=", set(), {"up"}),
        ("doit up etcd.preserve=", {"etcd.preserve=true", "etcd.preserve=false"}, set()),
        ("doit up start.mode=no", {"start.mode=nokubelet"}, {"start.mode=all"}),
        ("doit up start.mode=nokubelet,", {"start.mode=nokubelet,nokubeproxy"}, set()),
        ("X=1 doit 'debug:kubel", {"debug:kubelet"}, set()),
        ('doit "up" --gu', {"--guess"}, set()),
    ],
)
def test_candidates(tmp_path: Path, line: str, some: set[str], not_these: set[str]) -> None:
    found = words(tmp_path, line)
    assert some <= {*found}
    assert not not_these & {*found}
    assert len(found) == len({*found})


@pytest.mark.parametrize("line", ["doit kubectl get p", "doit kubectl ", "doit up -- u"])
def test_words_of_another_program_have_no_candidates(tmp_path: Path, line: str) -> None:
    assert words(tmp_path, line) == []


def test_every_task_and_every_key_that_is_no_secret_is_a_candidate(tmp_path: Path) -> None:
    names = doit(tmp_path, "list", "--all", "-q").stdout.split()
    choices = Choices({name: {"basename": name} for name in names}, {}, table(), ())
    assert "debug:kubelet" in names
    for name in names:
        assert name in candidates(f"doit {name}", choices), name
    for row in table():
        found = candidates(f"doit up {row.key}", choices)
        assert (f"{row.key}=" in found) != row.secret, row.key


def test_instances_of_the_workspace(tmp_path: Path) -> None:
    for name in ("one", "other", "two"):
        (tmp_path / "instances" / name).mkdir(parents=True)
    assert words(tmp_path, "doit delete instance=o") == ["instance=one", "instance=other"]


def test_each_candidate_has_a_description_on_its_line(tmp_path: Path) -> None:
    rows = answer(tmp_path, "doit start").stdout.splitlines()
    assert all(row.count("\t") == 1 for row in rows)
    assert dict(row.split("\t") for row in rows)["start:kubelet"].startswith("start kubelet")


@pytest.mark.parametrize("words_", [["--candidates"], ["bash"]])
def test_completion_writes_nothing_and_needs_no_valid_settings(
    tmp_path: Path, words_: list[str]
) -> None:
    home, config = tmp_path / "home", tmp_path / "stepkube.yaml"
    config.write_text("api: [\n")
    broken = {"STEPKUBE_CONFIG": str(config), "START_MODE": "half", "STEPKUBE_NO_SUCH": "1"}
    done = doit(home, "completion", *words_, COMP_LINE="doit debug:", **broken)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout
    assert not home.exists()


@pytest.mark.parametrize("wrong", [[], ["tcsh"], ["bash", "zsh"]])
def test_a_wrong_shell_is_refused(tmp_path: Path, wrong: list[str]) -> None:
    done = doit(tmp_path, "completion", *wrong)
    assert done.returncode == 3 and done.stdout == ""
    assert "bash, zsh, fish" in done.stderr and "doit completion bash" in done.stderr


def test_help_of_completion_is_not_completion(tmp_path: Path) -> None:
    assert "usage: doit completion" in doit(tmp_path, "completion", "--help").stdout
    assert help_command.requested(["completion", "--candidates"]) is None


def test_the_program_prints_the_script_in_every_folder(tmp_path: Path) -> None:
    code = "import sys; from tasks.cli.program import main; sys.exit(main())"
    env = {**os.environ, "STEPKUBE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", code, "completion", "bash"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert "complete " in done.stdout and str(ROOT) in done.stdout
    assert program.arguments(["completion", "bash"]) == ["completion", "bash"]


def test_names_of_folders_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/a b/$(x)'/python")
    for shell in ("bash", "zsh"):
        first = completion.script([shell]).splitlines()[0]
        assert shlex.split(first) == ["_stepkube_python=/a b/$(x)'/python"]
    assert completion.script(["fish"]).splitlines()[0].endswith(r"'/a b/$(x)\'/python'")


def read_until(terminal: int, end: str) -> str:
    """Return what a terminal shows up to a text; fail if the shell waits forever."""
    shown = ""
    while end not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def typed(home: Path, argv: list[str], keys: str, folder: Path = ROOT) -> str:
    """Return what the line means after its Tabs were typed in a terminal, as <word><word>."""
    (home / "script").write_text(completion.script([Path(argv[0]).name]) + "\n")
    show = "doit() { printf '<%s>' \"$@\"; printf '\\n'; }"
    if Path(argv[0]).name == "fish":
        show = "function doit; printf '<%s>' $argv; printf '\\n'; end"
    lines = (show, f"source {home}/script", "printf 'rea%s\\n' dy")
    environ = {"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull, "TERM": "dumb"}
    env = {**os.environ, **environ, "HOME": str(home), "ZDOTDIR": str(home), "PS1": "", "PS2": ""}
    controller, terminal = pty.openpty()
    with_terminal = ["setsid", "--ctty", *argv]  # fish needs it to be its controlling terminal
    shell = subprocess.Popen(
        with_terminal, cwd=folder, env=env, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    try:
        os.write(controller, "".join(f"{line}\r" for line in lines).encode())
        read_until(controller, "ready\r")
        os.write(controller, f"{keys}\r".encode())
        text = read_until(controller, ">\r\n")
    finally:
        shell.kill()
        shell.wait()
        os.close(controller)
    start = text.rindex("\n", 0, text.index(">\r\n")) + 1
    return text[start : text.index(">\r\n") + 1]


KEYS = [
    ("doit debug:kubele\t", "<debug:kubelet>"),
    ("doit debug:kubelet --mod\tex\t", "<debug:kubelet><--mode><exec>"),
    ("doit up api.secure_\t7443", "<up><api.secure_port=7443>"),
    ("doit up etcd.preserve=f\t", "<up><etcd.preserve=false>"),
    ("doit up instance=so\tlogs:kubel\t", "<up><instance=some><logs:kubelet>"),
    ("doit debug:kubelet --mode=e\t", "<debug:kubelet><--mode=exec>"),
    ("doit delete instance=\t", "<delete><instance=some>"),
    ("doit 'debug:kubele\t", "<debug:kubelet>"),
]


@pytest.mark.parametrize(("keys", "meaning"), KEYS)
@pytest.mark.parametrize(
    "argv",
    [["bash", "--norc", "--noprofile", "-i"], ["zsh", "-f", "-i"], ["fish", "--no-config"]],
    ids=completion.SHELLS,
)
def test_a_tab_in_a_real_shell(tmp_path: Path, argv: list[str], keys: str, meaning: str) -> None:
    if not shutil.which(argv[0]):
        pytest.skip(f"{argv[0]} is not installed")
    (tmp_path / "instances" / "some").mkdir(parents=True)
    assert typed(tmp_path, argv, keys) == meaning


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_in_another_folder_bash_completes_files_and_runs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "dodo.py").write_text("open('ran', 'w')\n")
    (folder / "debug-notes").touch()
    keys = "doit debug\t"
    found = typed(tmp_path, ["bash", "--norc", "--noprofile", "-i"], keys, folder)
    assert found == "<debug-notes>" and not (folder / "ran").exists()


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_has_no_syntax_error(tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(completion.script([shell]))
    subprocess.run([shell, "-n", str(file)], check=True)
