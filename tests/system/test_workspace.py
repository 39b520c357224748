"""Nobody else reads an instance or writes in the workspace, with any umask."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.components.registry import COMPONENTS
from tasks.runtime import processes
from tasks.settings import load
from tasks.settings.load import ROOT, Settings
from tasks.system import exits, files, process, workspace
from tasks.system.run import run
from tests.support import doit as runs

SECRET = "secret in a log"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a workspace that other users can reach: pytest's folders are private."""
    umask = os.umask(0o022)
    folder = Path(tempfile.mkdtemp(prefix="stepkube-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)
    os.umask(umask)


@pytest.fixture
def made(home: Path) -> Settings:
    return load.load({"STEPKUBE_HOME": str(home)}, {}, Path(os.devnull))


def doit(home: Path, umask: int, *words: str) -> None:
    env = {"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull, "USER": ""}
    argv = [sys.executable, "-m", "doit", *words]
    subprocess.run(argv, cwd=ROOT, env={**os.environ, **env}, umask=umask, check=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def offering(folder: Path, bits: int) -> list[str]:
    """Return the paths at and below a folder whose modes have one of these bits."""
    found = [folder, *folder.rglob("*")]
    return [str(path) for path in found if not path.is_symlink() and mode(path) & bits]


def spawn(made: Settings, name: str, script: str) -> str:
    """Run a shell script as a component's process; return what it printed."""
    spec_function = processes.spawn_function(made, name)
    cwd, log = made.paths.run / name, made.paths.log(name)
    argv = ("sh", "-c", f"{script}; exec sleep 30")
    record = spec_function(
        name, argv, {"PATH": os.environ["PATH"]}, cwd=cwd, log=log, fingerprint=""
    )
    try:
        assert process.until(lambda: log.stat().st_size > 0, record.identity.alive, 20.0)
    finally:
        os.kill(record.identity.pid, 9)
        written = exits.path(made.paths.run, name)
        assert process.until(written.exists, lambda: True, 20.0)
    assert mode(written) == 0o600
    return log.read_text().strip()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_no_umask_of_the_user_opens_the_workspace(made: Settings, umask: int) -> None:
    home = made.paths.home
    doit(home, umask, "certs", "downloads")
    assert (made.paths.certs / "client-admin.key").is_file() and made.paths.mirror.is_file()
    assert offering(home, 0o022) == []
    assert offering(made.paths.instance, 0o077) == []
    assert mode(home) == 0o755


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_source_tools_and_binaries_can_be_read_but_not_written(home: Path, umask: int) -> None:
    os.umask(umask)
    with files.locked(home / "src" / ".lock"):
        pass
    with files.staged(home / "src" / "v1.20.2") as making:
        (making / "cmd").mkdir()
        run("sh", "-c", "mkdir -p cmd/kubelet; echo main > cmd/kubelet/main.go", cwd=making)
    tree = home / "src" / "v1.20.2"
    assert [mode(path) for path in (home / "src", tree, tree / "cmd", tree / "cmd/kubelet")] == [
        0o755
    ] * 4
    assert mode(tree / "cmd/kubelet/main.go") == 0o644
    assert os.umask(umask) == umask


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(("name", "expected"), [("kube-apiserver", "0077"), ("kubelet", "0022")])
def test_a_component_has_the_umask_that_it_needs(
    tmp_path: Path, umask: int, name: str, expected: str
) -> None:
    """Pods run as any user, and they read what the kubelet creates for them."""
    words = {"node.sandbox": "false"}
    made = load.load({"STEPKUBE_HOME": str(tmp_path / "home")}, words, Path(os.devnull))
    before = os.umask(umask)
    try:
        assert spawn(made, name, "umask") == expected
    finally:
        os.umask(before)


def test_what_pods_read_is_made_by_components_with_an_open_umask() -> None:
    opened = {name for name, spec in COMPONENTS.items() if spec.umask == 0o022}
    assert opened == {"containerd", "kubelet", "kube-proxy"}
    script = (ROOT / "templates" / "sandbox.sh.j2").read_text()
    assert re.search(r"^umask 022\b", script, re.MULTILINE)


def test_an_existing_workspace_is_tightened_and_pods_keep_their_modes(made: Settings) -> None:
    home, instance = made.paths.home, made.paths.instance
    outside = home.with_name("outside")
    os.umask(0)
    pods = [
        instance / "kubelet/pods/a/volumes/b",
        instance / "containerd/c",
        instance / "logs/pods/d",
    ]
    private = [instance / "run/toy.json", instance / "logs/kube-apiserver-audit.log"]
    shared = [home / "bin/0123/toy", home / "toolchain/go-1/bin/go", home / "cache/gomod/x/y"]
    for path in (outside, *pods, *private, *shared):
        files.write(path, SECRET, 0o666)
    (instance / "run" / "link").symlink_to(outside)
    workspace.prepare(made.paths)
    assert offering(home / "bin", 0o022) == []
    assert [mode(path) for path in shared] == [0o644] * 3
    assert mode(instance) == 0o700
    assert [mode(path) for path in private] == [0o600] * 2
    assert [mode(path.parent) for path in private] == [0o700] * 2
    assert [mode(path) for path in (outside, *pods)] == [0o666] * 4


def test_nothing_is_loosened_and_a_folder_for_all_users_stays_one(made: Settings) -> None:
    home = made.paths.home
    files.write(made.paths.instance / "a", "", 0o400)
    made.paths.cache.mkdir(mode=0o700)
    home.chmod(0o1777)
    workspace.prepare(made.paths)
    assert mode(made.paths.instance / "a") == 0o400
    assert mode(made.paths.cache) == 0o700 and mode(home) == 0o1777


@pytest.fixture
def stranger() -> Iterator[str]:
    """Make a user for the test."""
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("only root can make a user, with useradd")
    name = f"stepkube-test-{os.getpid()}"
    run("useradd", "--no-create-home", "--shell", "/bin/sh", name)
    yield name
    run("userdel", name)


def test_another_user_reads_no_log_and_writes_nothing(made: Settings, stranger: str) -> None:
    home, instance = made.paths.home, made.paths.instance
    doit(home, 0, "certs")
    assert spawn(made, "etcd", f"echo {SECRET}; touch made-by-it") == SECRET
    files.write(home / "bin/0123/toy", "toy", 0o755)

    def found(*words: str) -> str:
        """Return what find(1) prints when the other user runs it."""
        argv = ["find", str(home), *words]
        done = subprocess.run(
            argv,
            user=stranger,
            group=stranger,
            extra_groups=[],
            text=True,
            capture_output=True,
            cwd="/",
            check=False,
        )
        return done.stdout

    assert str(home / "bin/0123/toy") in found("-readable")
    assert found("-writable") == ""
    assert found("-path", f"{instance}/*") == ""
    reading = ["cat", str(made.paths.log("etcd")), str(made.paths.kubeconfig("admin"))]
    done = subprocess.run(
        reading,
        user=stranger,
        group=stranger,
        extra_groups=[],
        capture_output=True,
        cwd="/",
        check=False,
    )
    assert done.returncode != 0 and done.stdout == b""


@root_only
def test_a_user_that_owns_the_credentials_reaches_them_after_any_later_run(made: Settings) -> None:
    env = {"STEPKUBE_HOME": str(made.paths.home), "STEPKUBE_CONFIG": os.devnull, "USER": "nobody"}
    argv = [sys.executable, "-m", "doit"]
    subprocess.run([*argv, "certs"], cwd=ROOT, env={**os.environ, **env}, umask=0o077, check=True)
    doit(made.paths.home, 0, "list")
    certs = made.paths.certs
    for path in (certs / "admin.kubeconfig", certs / "client-admin.key", certs / "server-ca.crt"):
        subprocess.run(["cat", str(path)], user="nobody", cwd="/", check=True)
    for path in (certs / "server-ca.key", certs / "kubelet.kubeconfig", certs):
        done = subprocess.run(["head", "-c1", str(path)], user="nobody", cwd="/", check=False)
        assert done.returncode != 0


@pytest.mark.parametrize("kind", ["a file", "a link that leads nowhere"])
@pytest.mark.parametrize(
    "name", [".", "run", "swap", "certs", "config", "logs", "build", "toolchain", "addons"]
)
def test_what_is_in_the_place_of_a_folder_is_set_aside(
    tmp_path: Path, name: str, kind: str
) -> None:
    place = tmp_path / "instances/default" / name
    place.parent.mkdir(parents=True)
    if kind == "a file":
        place.write_text("mine")
    else:
        place.symlink_to("nowhere")
    for task in ("status", "down", "certs:service-account"):
        done = runs.doit(tmp_path, task)
        assert done.returncode == 0, done
        assert "Traceback" not in done.stderr and ("damaged" in done.stderr) == (task == "status")
    aside = place.with_name(f"{place.name}.damaged")
    assert aside.is_symlink() or aside.read_text() == "mine"


def test_a_file_in_the_place_of_the_workspace_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine")
    done = runs.doit(tmp_path / "home", "status")
    assert done.returncode == 1 and str(tmp_path / "home") in done.stderr
    assert "remove" in done.stderr and "disk" not in done.stderr
