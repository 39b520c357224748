"""The source text of a binary stays known when the tree is edited again."""

from pathlib import Path

import pytest

from tasks.build import recorded, source_text
from tasks.settings.load import Settings
from tests.support import miniature
from tests.support.builds import make

SCHEDULER, MAIN = "pkg/scheduler/scheduler.go", "cmd/kube-scheduler/main.go"


@pytest.mark.parametrize("old", [False, True])
def test_the_text_of_an_edited_file_is_kept(chosen: Settings, old: bool) -> None:
    file = Path(chosen.origin.path) / SCHEDULER
    edited = f"{file.read_text()}\n// not committed\n"
    file.write_text(edited)
    built = make(chosen, "kube-scheduler")
    if old:  # an older stepkube kept none; `doit debug` does it then
        source_text._path(built.path).unlink()
        digests = recorded.digests(chosen, "kube-scheduler").text
        source_text.remember(chosen, built.path, digests)
    file.write_text("package scheduler\n")
    source = source_text.load(built.path)
    assert source is not None
    assert source.read(SCHEDULER) == edited
    assert source.read(MAIN) == miniature.FILES[MAIN]
    assert source.relative(f"/elsewhere/{SCHEDULER}") == SCHEDULER
    assert source.relative("/go/src/fmt/print.go") == ""
    assert source.package(SCHEDULER) == [SCHEDULER]
    assert source.read("pkg/kubelet/kubelet.go") == "", "in no package of the module"
