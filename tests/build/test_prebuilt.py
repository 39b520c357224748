"""Binaries made elsewhere: found, copied by content, checked, debugged only where they can be."""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.build import dwarf_check, prebuilt
from tasks.build import tasks as build
from tasks.cli import command_line
from tasks.core.errors import Failure
from tasks.debug import preflight
from tasks.settings import groups
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import files
from tests.support.doit import doit


def load(home: Path, output: Path | str, version: str = "v1.20.2") -> Settings:
    """Return settings of a workspace with a checkout, in which binaries of a folder are used."""
    made = settings.load({"STEPKUBE_HOME": str(home / "home"), "GO_OUT": str(output)})
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": str(home / "tree"), "version": version})
    return made


def program(folder: Path, module: str, version: str, toy: Path) -> Path:
    """Make a program that says which version it is; its debug information is the toy's."""
    path = folder / module
    files.write(path, f"#!/bin/sh\n# {toy}\necho Kubernetes {version}\n", 0o755)
    return path


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dwarf_check, "inspect", lambda _: dwarf_check.DebugInfo(5, ("go1.15.15",), 10)
    )


@pytest.mark.usefixtures("readable")
def test_a_binary_is_copied_by_its_content(tmp_path: Path, toy: Path) -> None:
    made = load(tmp_path, tmp_path / "out")
    given = program(tmp_path / "out", "kubelet", "v1.20.2", toy)
    assert prebuilt.copy_binary(made, "kubelet") is None
    first = build.load_binary(made, "kubelet")
    assert first.path.read_bytes() == given.read_bytes() and first.path != given
    assert (first.version, first.go, first.origin) == ("v1.20.2", "1.15.15", str(given))
    link = made.paths.instance / "bin" / "kubelet"
    assert link.resolve() == first.path and os.access(link, os.X_OK)
    program(tmp_path / "out", "kubelet", "v1.20.3", toy)
    prebuilt.copy_binary(made, "kubelet")
    second = build.load_binary(made, "kubelet")
    assert second.path != first.path, "another content, another place: its component restarts"
    assert first.path.is_file(), "what runs keeps its file"


@pytest.mark.usefixtures("readable")
@pytest.mark.parametrize(
    ("module", "said", "words"),
    [
        ("kube-proxy", "", "GO_OUT.*out/kube-proxy does not exist"),
        ("kubelet", "v1.35.0", "out/kubelet is v1.35.0, .*v1.20.2.*build.output"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, toy: Path, module: str, said: str, words: str
) -> None:
    made = load(tmp_path, tmp_path / "out")
    if said:
        program(tmp_path / "out", module, said, toy)
    failed = prebuilt.copy_binary(made, module)
    assert failed is not None
    assert re.search(words, failed.get_msg().replace("\n", " "))
    assert not made.paths.built(module).exists()


@pytest.mark.usefixtures("readable")
def test_an_unstamped_binary_is_taken(tmp_path: Path, toy: Path) -> None:
    made = load(tmp_path, tmp_path / "out")
    program(tmp_path / "out", "kubelet", "v0.0.0-master+$Format:%H$", toy)
    assert prebuilt.copy_binary(made, "kubelet") is None


def test_a_guess_takes_the_newest_below_output(tmp_path: Path) -> None:
    made = load(tmp_path, groups.GUESS)
    with pytest.raises(Failure, match=r"-O: no kube-apiserver .*tree/_output"):
        prebuilt.binary_path(made, "kubelet")
    folders = [tmp_path / "tree" / "_output" / name / "bin" for name in ("local/go", "")]
    for age, folder in enumerate(reversed(folders)):
        files.write(folder / "kube-apiserver", "")
        os.utime(folder / "kube-apiserver", (1000 + age, 1000 + age))
    assert prebuilt.binary_path(made, "kubelet") == folders[0] / "kubelet"


def test_a_stripped_binary_starts_but_is_not_debugged(
    tmp_path: Path, toy_stripped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load(tmp_path, tmp_path / "out")
    (tmp_path / "out").mkdir()
    shutil.copy(toy_stripped, tmp_path / "out" / "kubelet")
    monkeypatch.setattr(prebuilt, "reported_version", lambda *_: "v1.20.2")
    assert prebuilt.copy_binary(made, "kubelet") is None
    taken = build.load_binary(made, "kubelet")
    record = SimpleNamespace(component="kubelet", exe=str(taken.path))
    with pytest.raises(Failure) as caught:
        preflight._require_debuggable(made, record)  # type: ignore[arg-type]
    assert f"{tmp_path / 'out' / 'kubelet'} has no debug information" in caught.value.message
    assert "unset build.output" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["up", "-o", "/x"], "/x"),
        (["up", "--output=/x"], "/x"),
        (["run", "up", "a.b=c", "-o", "/x"], "/x"),
        (["up", "-O"], "guess"),
        (["up"], ""),
        (["status", "-o", "json"], ""),
    ],
)
def test_the_options_of_up_are_settings(words: list[str], value: str) -> None:
    assert command_line.settings_from_up_options(words).get("build.output", "") == value


def test_doit_says_what_it_would_take(tmp_path: Path) -> None:
    said = doit(tmp_path, "list", "--all", GO_OUT="/some/where").stdout
    assert "kubelet from /some/where" in said
    assert "--output" in doit(tmp_path, "help", "up").stdout
    done = doit(tmp_path, "up", "-o", "/x", "-O")
    assert done.returncode == 1 and "-o and -O" in done.stderr
