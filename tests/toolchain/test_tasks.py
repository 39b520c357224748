"""The tools of a checkout: Go, etcd, Delve and CNI plugins, built or found, and recorded."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.core import doit_run
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tool_record import Tool
from tasks.settings import load
from tasks.system import files, resources
from tasks.toolchain import cni, go_install
from tasks.toolchain import tasks as toolchain
from tasks.toolchain import versions as golang
from tests.support.go_proxy import Proxy, hide, write


def test_records_are_written_and_read(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    with pytest.raises(Failure) as caught:
        toolchain.load_tool(chosen, "go")
    assert caught.value.hint == "run: doit toolchain:go"
    go = Tool("go", "1.15.15", Path("/go/bin/go"), Path("/go"), "here")
    delve = Tool("delve", "1.27.2", Path("/dlv"), None, "there")
    tool_record.save_tool(chosen, go)
    tool_record.save_tool(chosen, delve, min_go="1.25", max_go="1.27")
    assert [tool_record.load_tool(chosen, name) for name in ("go", "delve")] == [go, delve]
    assert json.loads(chosen.paths.tool("go").read_text()) == {
        "version": "1.15.15",
        "root": "/go",
        "bin": "/go/bin/go",
        "from": "here",
    }
    assert json.loads(chosen.paths.tool("delve").read_text())["max_go"] == "1.27"


@pytest.fixture
def stage(tmp_path: Path, go_on_machine: Path) -> tuple[Proxy, load.Settings]:
    """Return a checkout that needs Go 1.26.2 and etcd 3.4.13; the proxy has etcd and Delve."""
    proxy = Proxy(tmp_path / "proxy")
    proxy.release(toolchain.ETCD, "3.5.0", "3.5.35", "3.6.4", "3.6.6")
    proxy.release(toolchain.DELVE, "1.25.2", "1.26.0", "1.27.2", go="1.25.0")
    proxy.release(cni.MODULE, "1.8.0", "1.9.1", go="1.99")
    chosen = proxy.settings(tmp_path)
    write(tmp_path / "tree", {".go-version": "1.26.2"})
    lock = {
        "tree": str(tmp_path / "tree"),
        "version": "v1.36.0",
        "commit": "c",
        "origin": "o",
        "requested": "auto",
    }
    files.write_json(chosen.paths.lock, lock)
    want_etcd(tmp_path, "3.4.13")
    return proxy, chosen


def want_etcd(tmp_path: Path, version: str) -> None:
    write(tmp_path / "tree", {"hack/lib/etcd.sh": f"ETCD_VERSION=${{ETCD_VERSION:-{version}}}\n"})


def notes() -> str:
    notes = doit_run.current().notes
    text = "; ".join(notes)
    notes.clear()
    return text


def test_go_is_recorded_and_reported(stage: tuple[Proxy, load.Settings]) -> None:
    _, chosen = stage
    assert toolchain.make_go(chosen) is None
    assert tool_record.load_tool(chosen, "go").version == "1.26.8"
    assert re.fullmatch(r"go1\.26\.8 from /.* \(.* 1\.26\.2\)", notes())


@pytest.mark.parametrize(
    ("required", "built"),
    [
        ("3.1.12", "3.5.35"),
        ("3.4.13", "3.5.35"),
        ("3.5.0", "3.5.0"),
        ("3.6.5", "3.6.6"),
        ("3.6.6", "3.6.6"),
    ],
)
def test_etcd_is_built_from_its_module(
    stage: tuple[Proxy, load.Settings], tmp_path: Path, required: str, built: str
) -> None:
    _, chosen = stage
    want_etcd(tmp_path, required)
    assert toolchain.make_etcd(chosen) is None
    etcd = tool_record.load_tool(chosen, "etcd")
    assert etcd.version == built
    assert etcd.bin == chosen.paths.toolchain / f"etcd-{built}" / "etcd"
    output = etcd.bin.read_text()
    assert f"require {toolchain.ETCD} v{built}\n{toolchain.ETCD}\n" in output
    assert "CGO_ENABLED=0" in output
    assert f"GOSUMDB={chosen.mirror.gosumdb}" in output
    assert tool_record.load_tool(chosen, "tools-go").version == "1.26.8"
    assert ("(the tree" in notes()) == (required != built)
    assert list(chosen.paths.toolchain.glob(".etcd-*")) == []
    assert list((chosen.paths.cache / "tmp").iterdir()) == []


def test_the_etcd_in_etcd_version_is_never_replaced(
    stage: tuple[Proxy, load.Settings], tmp_path: Path
) -> None:
    proxy, _ = stage
    chosen = proxy.settings(tmp_path, ETCD_VERSION="3.6.5")
    failed = toolchain.make_etcd(chosen)
    assert failed is not None
    assert "v3.6.5.mod" in failed.message
    assert "etcd.version" in failed.message
    assert toolchain.make_etcd(proxy.settings(tmp_path, ETCD_VERSION="v3.6.4")) is None
    assert tool_record.load_tool(chosen, "etcd").version == "3.6.4"


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, version: str, words: str
) -> Path:
    path = write(folder, {name: f"#!/bin/sh\necho '{words} {version}'\n"}) / name
    path.chmod(0o755)
    hide(monkeypatch, **{name: path})
    return path


@pytest.mark.parametrize(("version", "used"), [("3.4.13", True), ("3.6.1", True), ("3.4.9", False)])
def test_an_installed_etcd_is_used_if_it_is_new_enough(
    stage: tuple[Proxy, load.Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    used: bool,
) -> None:
    _, chosen = stage
    path = install(monkeypatch, tmp_path / "bin", "etcd", version, "etcd Version:")
    assert toolchain.make_etcd(chosen) is None
    assert (tool_record.load_tool(chosen, "etcd").bin == path) is used


def test_a_build_that_fails_leaves_nothing(
    stage: tuple[Proxy, load.Settings], tmp_path: Path, go_on_machine: Path
) -> None:
    _, chosen = stage
    program = go_on_machine / "bin/go"
    program.write_text(program.read_text().replace("build)", "build) echo no luck; exit 1;;\nx)"))
    failed = toolchain.make_etcd(chosen)
    assert failed is not None
    assert "no luck" in failed.message
    assert "mirror.goproxy" in failed.message
    assert list(chosen.paths.toolchain.glob("*etcd-*")) == []
    assert not chosen.paths.tool("etcd").exists()


def test_the_newest_delve_is_built_and_kept(stage: tuple[Proxy, load.Settings]) -> None:
    proxy, chosen = stage
    toolchain.make_go(chosen)
    assert toolchain.make_delve(chosen) is None
    made = json.loads(chosen.paths.tool("delve").read_text())
    assert (made["version"], made["min_go"], made["max_go"]) == ("1.27.2", "1.25", "1.27")
    (proxy.folder / toolchain.DELVE / "@v/list").unlink()
    assert toolchain.make_delve(chosen) is None
    assert json.loads(chosen.paths.tool("delve").read_text()) == made


def test_a_go_that_no_delve_supports_is_refused_before_a_build(
    stage: tuple[Proxy, load.Settings],
) -> None:
    _, chosen = stage
    tool_record.save_tool(chosen, Tool("go", "1.28.1", Path("/go/bin/go"), Path("/go"), "x"))
    failed = toolchain.make_delve(chosen)
    assert failed is not None
    assert re.search(r"Delve 1\.27\.2.* 1\.27,.* 1\.28\.1", failed.message)
    assert not chosen.paths.toolchain.exists() or not list(chosen.paths.toolchain.glob("delve*"))


@pytest.mark.parametrize(
    ("delve", "go", "fits"),
    [
        ("1.25.2", "1.23.4", True),
        ("1.25.2", "1.15.15", False),
        ("1.24.0", "1.25.1", False),
        ("1.8.0", "1.17.1", False),
        ("1.27.2", "1.26.8", False),
    ],
)
def test_an_installed_delve_is_used_only_if_it_supports_this_go(
    go_on_machine: Path, delve: str, go: str, fits: bool
) -> None:
    program = Tool("dlv", delve, Path("/dlv"), None, "/dlv")
    kind = Tool("go", go, go_on_machine / "bin/go", go_on_machine, "x")
    assert toolchain.delve_fits(program, kind) is fits


def test_plugins_that_need_a_newer_go_are_refused(
    stage: tuple[Proxy, load.Settings],
) -> None:
    proxy, chosen = stage
    failed = toolchain.make_cni(chosen)
    assert failed is not None
    assert f"{cni.MODULE} needs a Go newer" in failed.message
    assert golang.go_name(go_install.TOOLS_GO) in failed.message
    proxy.release(cni.MODULE, "1.8.0", "1.9.1")
    assert toolchain.make_cni(chosen) is None
    folder = tool_record.load_tool(chosen, "cni").bin
    assert {path.name for path in folder.glob("[!.]*")} == set(cni.PLUGINS)


def test_a_deleted_tool_is_built_again(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    kept = {task["name"]: task for task in toolchain._tasks(chosen)}["etcd"]["uptodate"][1]
    assert kept() is False
    program = write(tmp_path, {"etcd": "#!/bin/sh\n"}) / "etcd"
    program.chmod(0o755)
    tool_record.save_tool(chosen, Tool("etcd", "3.5.35", program, None, ""))
    assert kept() is True
    (tmp_path / "etcd").unlink()
    assert kept() is False
    chosen.paths.tool("etcd").write_text("{")
    assert kept() is False
    assert str(chosen.paths.tool("etcd")) in repr(kept)


def cut(program: Path) -> None:
    os.truncate(program, program.stat().st_size // 2)


def empty(program: Path) -> None:
    os.truncate(program, 0)


def of_another_machine(program: Path) -> None:
    data = bytearray(Path(sys.executable).resolve().read_bytes())
    data[18:20] = (247).to_bytes(2, "little")  # e_machine: EM_BPF
    program.write_bytes(data)


DAMAGES = (cut, empty, of_another_machine, lambda program: program.chmod(0o644), Path.unlink)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("name", "file"), [("etcd", "etcd"), ("delve", "dlv"), ("cni", "portmap")])
def test_a_damaged_tool_is_seen_named_and_built_again(
    stage: tuple[Proxy, load.Settings],
    capsys: pytest.CaptureFixture[str],
    name: str,
    file: str,
    damage: Callable[[Path], None],
) -> None:
    proxy, chosen = stage
    proxy.release(cni.MODULE, "1.8.0", "1.9.1")
    makers = {"etcd": toolchain.make_etcd, "delve": toolchain.make_delve, "cni": toolchain.make_cni}
    toolchain.make_go(chosen)
    assert makers[name](chosen) is None
    intact = {task["name"]: task for task in toolchain._tasks(chosen)}[name]["uptodate"][1]
    assert intact() is True
    folder = tool_record.load_tool(chosen, name).bin
    program = (folder if folder.is_dir() else folder.parent) / file
    if damage is not cut:  # an older stepkube stored no content, and this program is a script
        program.with_name(f".{file}.json").unlink()
    damage(program)
    assert intact() is False
    assert toolchain.provide(chosen, name, makers[name]) is None
    assert str(program) in capsys.readouterr().out
    assert "require" in program.read_text() and intact() is True


@pytest.mark.parametrize("damage", [cut, empty, of_another_machine])
def test_a_damaged_program_of_the_machine_is_seen(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    program = tmp_path / "bin" / "etcd"
    files.write(program, Path(sys.executable).resolve().read_bytes(), 0o755)
    tool_record.save_tool(chosen, Tool("etcd", "3.5.35", program, None, ""))
    intact = {task["name"]: task for task in toolchain._tasks(chosen)}["etcd"]["uptodate"][1]
    assert intact() is True
    assert [path.name for path in program.parent.iterdir()] == ["etcd"], "nothing is written there"
    damage(program)
    assert intact() is False


def test_the_tasks_name_their_dependencies(tmp_path: Path) -> None:
    chosen = Proxy(tmp_path / "proxy").settings(tmp_path)
    tasks = {task["name"]: task for task in toolchain._tasks(chosen)}
    assert list(tasks) == ["go", "etcd", "delve", "cni"]
    for name, task in tasks.items():
        assert task["targets"] == [str(chosen.paths.tool(name))]
        assert all(isinstance(path, str) for path in task["file_dep"])
    assert tasks["go"]["file_dep"] == tasks["etcd"]["file_dep"] == [str(chosen.paths.lock)]
    assert tasks["delve"]["file_dep"] == tasks["go"]["targets"]
    assert tasks["delve"]["task_dep"] == ["toolchain:go"]
    assert tasks["cni"]["file_dep"] == []


def test_architectures_are_named_as_go_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, name in (("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")):
        monkeypatch.setattr(os, "uname", lambda machine=machine: SimpleNamespace(machine=machine))
        assert resources.architecture() == name
