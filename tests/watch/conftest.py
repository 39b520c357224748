"""Two components that were built from a small tree and run."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

from tasks.checkout import tasks as checkout
from tasks.components import registry
from tasks.debug import swap
from tasks.kubernetes import tool_record
from tasks.runtime import accepted_flags, processes
from tasks.settings.load import Settings
from tasks.system import process
from tasks.system.run import run
from tests.support import miniature, toycluster, toywatch
from tests.support.ports import free_port, instance_name
from tests.support.program import Run, line_with, start


@dataclass
class Watched:
    """The tree, the components and the runs of doit."""

    settings: Settings
    tree: Path
    ports: tuple[int, int]
    runs: list[Run] = field(default_factory=list)

    def start(self, *words: str) -> Run:
        ports = ",".join(map(str, self.ports))
        arguments = [self.settings.paths.home, self.settings.name, self.tree, ports, *words]
        run = start("toywatch", *arguments)
        self.runs.append(run)
        return run

    def doit(self, *words: str, code: int = 0) -> str:
        run = self.start(*words)
        output, _ = run.communicate(timeout=240)
        assert run.returncode == code, output
        assert "Traceback" not in output
        return output

    def watch(self, task: str = "watch") -> Run:
        """Start a watch and return it when it watches."""
        run = self.start(task)
        line_with(run, "watching ")
        return run

    def save(self, file: str, before: str, after: str) -> None:
        path = self.tree / file
        text = path.read_text()
        assert text.count(before) == 1
        path.write_text(text.replace(before, after))

    def answer(self, name: str) -> str:
        port = self.ports[toywatch.NAMES.index(name)]
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as reply:
            text: str = reply.read().decode()
            return text

    def pid(self, name: str) -> int:
        record = process.load(self.settings.paths.run, name)
        assert record is not None and record.alive(), name
        return record.identity.pid

    def pids(self) -> tuple[int, ...]:
        return tuple(self.pid(name) for name in toywatch.NAMES)


def stop(run: Run) -> str:
    """Press Ctrl-C in a watch and return the rest of its output."""
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert "Traceback" not in output
    return output


@pytest.fixture
def chosen(tmp_path: Path, cache: Path, go: Path, go_version: str) -> Iterator[Settings]:
    """Yield settings of a small tree; Go's cache is shared with earlier runs."""
    name, tree = instance_name(), tmp_path / "tree"
    for path, text in toywatch.FILES.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    miniature.make(tree, unique=name)
    settings = toywatch.settings(str(cache / "home"), name, str(tree))
    assert checkout.make(settings) is None
    root = Path(run(go, "env", "GOROOT").stdout.strip())
    record = tool_record.Tool("go", go_version, root / "bin/go", root, "here")
    tool_record.save_tool(settings, record)
    yield settings
    shutil.rmtree(settings.paths.instance)


@pytest.fixture
def watched(chosen: Settings, dlv: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Yield two components that run, each built from the tree."""
    toycluster.write_delve(chosen, dlv)
    made = Watched(chosen, Path(chosen.origin.path), (free_port(), free_port()))
    for key, spec in toywatch.components(",".join(map(str, made.ports))).items():
        monkeypatch.setitem(registry.COMPONENTS, key, spec)
    monkeypatch.setattr(accepted_flags, "with_accepted_flags", toycluster.accept)
    try:
        made.doit("start:toy", "start:other")
        yield made
    finally:
        for one in made.runs:
            one.kill()
            one.communicate()
        for component in toywatch.NAMES:
            swap.kill(chosen, component)
            processes.stop(chosen, component)
