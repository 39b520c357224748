"""A root folder with files of package managers, and a doit in this process."""

import io
import os
from pathlib import Path

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from tasks.cli import reporter
from tasks.host import tasks
from tasks.host.plan import Mirrors
from tasks.settings import load
from tasks.settings.load import Settings
from tests.support.hostfiles import FILES, SET, Doit


@pytest.fixture(name="root")
def private_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for number, (name, text) in enumerate(FILES.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() + b"# \xff is not UTF-8\r\n")
        path.chmod(0o600 + 0o044 * (number % 2))
        os.utime(path, ns=(10**18, 10**18 + number))
    return root


@pytest.fixture(name="home")
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(name="doit")
def in_process_doit(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Doit:
    """Return a function that runs doit with only the host's tasks, and returns its output."""
    loaded = load.load({"STEPKUBE_HOME": str(home), "STEPKUBE_CONFIG": os.devnull})
    home.mkdir()

    def doit(*argv: str, mirrors: Mirrors = SET, code: int = 0, settings: Settings = loaded) -> str:
        monkeypatch.setattr(tasks, "configured_mirrors", lambda _: mirrors)
        out = io.StringIO()
        config = {
            "dep_file": str(home / "db"),
            "backend": "sqlite3",
            "outfile": out,
            "verbosity": 2,
            "reporter": reporter.Reporter,
        }
        loader = ModuleTaskLoader(
            {
                "task_mirror": lambda: tasks.task_mirror(settings),
                "task_packages": lambda: tasks.task_packages(settings),
                "task_firewall": lambda: tasks.task_firewall(settings),
            }
        )
        capfd.readouterr()
        main = DoitMain(loader, config_filenames=(), extra_config={"GLOBAL": config})
        assert (main.run(list(argv)) or 0) == code
        printed = capfd.readouterr()
        return printed.out + printed.err + out.getvalue()

    return doit
