"""What several tests need and no test makes itself: a Go, a Delve, a small program to debug."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tasks.core import doit_run
from tasks.core.doit_run import DoitRun
from tasks.settings import load
from tasks.settings.table import table
from tasks.system import files, process, procfs
from tasks.system.run import run
from tasks.toolchain import go_install
from tests.support.failures import in_words

hypothesis.settings.register_profile(
    "suite", max_examples=40, derandomize=True, database=None, deadline=None
)
hypothesis.settings.register_profile("long", max_examples=5000, database=None, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

HERE = Path(__file__).resolve().parent
DELVE = "v1.27.2"  # its module zip and those it needs are verified by Go's checksum database
OLDEST_GO = (1, 25)  # an older one makes a Delve that refuses DWARF 5


def pytest_configure() -> None:
    """Leave out what somebody exported for upstream's script; how the network is reached stays."""
    for row in table():
        if not (row.is_stepkube_variable or row.ambient or row.key.startswith("mirror.")):
            os.environ.pop(row.env, None)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use one process more than there are cores: many tests wait. A real cluster's take turns."""
    return 0 if config.option.markexpr == "cluster" else len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail when a process outlives the tests that started it, and name it."""
    folder = f"{tmp_path_factory.getbasetemp()}/"
    yield

    def left() -> list[tuple[str, ...]]:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        found = [(pid, procfs.argv_of(pid), procfs.environ_of(pid)) for pid in pids]
        return [
            argv
            for pid, argv, env in found
            if pid != os.getpid() and any(folder in word for word in (*argv, *env.values()))
        ]

    assert process.until(lambda: not left(), lambda: True, 60.0), left()


@pytest.fixture(scope="session")
def cache() -> Path:
    """Return the folder of what test runs share."""
    home = os.environ.get("STEPKUBE_HOME") or HERE.parent / ".stepkube"
    return Path(home).absolute() / "cache" / "tests"


@pytest.fixture(scope="session")
def gobuild(cache: Path) -> Path:
    """Return the folder of what Go compiled, shared by workspaces that link to it."""
    folder = cache / "home/cache/gobuild"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def go() -> Path:
    """Return a Go that can make Delve: an installed one, else the one the tool brings itself."""
    for place in (shutil.which("go"), "/usr/local/go/bin/go"):
        if place and Path(place).is_file() and go_version(Path(place)) >= OLDEST_GO:
            return Path(place)
    with in_words():
        return go_install.tools_go(load.load(os.environ)).bin


def go_version(go: Path) -> tuple[int, ...]:
    """Return major and minor of a Go, without letting it fetch another one."""
    printed = run(go, "version", env={**os.environ, "GOTOOLCHAIN": "local"}, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else ()


@pytest.fixture(scope="session", name="go_version")
def dotted_go_version(go: Path) -> str:
    """Return the version of the Go that makes the toys, such as 1.26."""
    return ".".join(str(number) for number in go_version(go))


@pytest.fixture(scope="session")
def go_env(cache: Path) -> dict[str, str]:
    """Return an environment for Go in which neither the user's flags nor folders play a part."""
    kept = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    return kept | {
        "CGO_ENABLED": "0",
        "GOBIN": "",
        "GOCACHE": str(cache / "go-build"),
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOOS": "",
        "GOARCH": "",
        "GOPATH": str(cache / "gopath"),
        "GOMODCACHE": str(cache / "gopath" / "pkg" / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


@pytest.fixture(scope="session")
def dlv(go: Path, go_env: dict[str, str], cache: Path) -> Path:
    """Return Delve, made once and kept for later runs."""
    folder = cache / f"delve-{DELVE}"
    with in_words(), files.locked(cache / "delve.lock"):
        if not (folder / "dlv").is_file():
            fresh = cache / f"delve-{DELVE}.part"
            module = f"github.com/go-delve/delve/cmd/dlv@{DELVE}"
            run(go, "install", module, env={**go_env, "GOBIN": str(fresh)}, timeout=900)
            fresh.rename(folder)
    return folder / "dlv"


@pytest.fixture(scope="session")
def toys(
    go: Path, go_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """Return a folder with the toys; all workers share what one of them made."""
    folder, base = tmp_path_factory.mktemp("toys"), tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "toys-made"
    debug = ["-gcflags", "all=-N -l"]
    for name, flags in {
        "toy": debug,
        "toy_stripped": [*debug, "-ldflags", "-s -w"],
        "toy_optimised": [],
        "toy_main_only": ["-gcflags", "-N -l"],
    }.items():
        made = shared / name
        with in_words(), files.locked(shared / "lock"):
            if not made.exists():
                words = ["build", *flags, "-o", str(made), "."]
                run(go, *words, cwd=HERE / "toy", env=go_env, timeout=600)
        (folder / name).hardlink_to(made)
    return folder


@pytest.fixture(scope="session")
def toy(toys: Path) -> Path:
    """Return the toy made for debugging."""
    return toys / "toy"


@pytest.fixture(scope="session")
def toy_stripped(toys: Path) -> Path:
    """Return the toy without debug information."""
    return toys / "toy_stripped"


@pytest.fixture(scope="session")
def toy_optimised(toys: Path) -> Path:
    """Return the toy as Go makes it by default."""
    return toys / "toy_optimised"


@pytest.fixture(scope="session")
def toy_main_only(toys: Path) -> Path:
    """Return the toy made with the common mistake: flags without `all=`."""
    return toys / "toy_main_only"


@pytest.fixture(autouse=True)
def run_of_its_own() -> Iterator[DoitRun]:
    """Give every test the state of a doit run of its own."""
    with doit_run.fresh() as state:
        yield state
