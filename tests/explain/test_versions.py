"""Versions of Go, etcd, Delve and the runtime for one Kubernetes version, from records alone."""

import json
import re
from pathlib import Path

import pytest

from tasks.components import containerd
from tasks.explain import versions
from tasks.kubernetes import tool_record
from tasks.kubernetes.tool_record import Tool
from tasks.kubernetes.tree import Checkout
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tasks.system.run import run


@pytest.fixture(name="tree")
def small_tree(tmp_path: Path) -> Path:
    """Return a git worktree with the files that name the versions."""
    tree = tmp_path / "tree"
    files.write(tree / "hack/lib/etcd.sh", "ETCD_VERSION=${ETCD_VERSION:-3.4.13}\n")
    files.write(tree / "build/dependencies.yaml", "")
    files.write(tree / "build/build-image/cross/VERSION", "v1.15.5-1\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "a")):
        run("git", *arguments, cwd=tree)
    return tree


def check_out(tree: Path, *, requested: str = "auto", **environ: str) -> Settings:
    """Return settings whose lock file names the tree."""
    home = str(tree.parent / "home")
    chosen = load.load({"STEPKUBE_HOME": home, **environ}, {}, Path("/dev/null"))
    lock = {"commit": "0123456789abcdef", "origin": "git here", "requested": requested}
    files.write_json(chosen.paths.lock, {**lock, "tree": str(tree), "version": "v1.20.2"})
    return chosen


def make(chosen: Settings, name: str, version: str, origin: str) -> None:
    tool_record.save_tool(chosen, Tool(name, version, Path("/bin") / name, None, origin))


def by_name(chosen: Settings) -> dict[str, versions.Choice]:
    return {choice.what: choice for choice in versions.choices(chosen)}


def test_every_choice_has_versions_sources_and_a_reason(tree: Path) -> None:
    chosen = check_out(tree)
    make(chosen, "go", "1.15.15", "https://proxy.golang.org")
    make(chosen, "etcd", "3.5.35", "go.etcd.io/etcd/server/v3")
    make(chosen, "delve", "1.27.2", "github.com/go-delve/delve")
    found = by_name(chosen)
    go, etcd, delve = found["Go"], found["etcd"], found["Delve"]
    assert (go.asked, go.asked_in) == ("1.15.5", "build/build-image/cross/VERSION")
    assert (go.taken, go.origin) == ("1.15.15", "https://proxy.golang.org")
    assert "newer patch" in go.why
    assert (etcd.asked, etcd.asked_in, etcd.taken) == ("3.4.13", "hack/lib/etcd.sh", "3.5.35")
    assert "newer etcd" in etcd.why and "before 3.5" in etcd.why
    assert "Go 1.15" in delve.asked and delve.taken == "1.27.2"
    assert "Go 1.25 to 1.27" in delve.why and delve.why.endswith(" off")


def test_a_tool_that_is_not_made_yet_has_no_version(tree: Path) -> None:
    found = by_name(check_out(tree))
    for name in ("Go", "etcd", "Delve"):
        assert found[name].taken == versions.NOT_MADE
    assert found["Go"].asked == "1.15.5"


@pytest.mark.parametrize(
    ("requested", "version", "where", "why"),
    [
        ("auto", None, "version (default)", "first origin"),
        ("v1.20.2", "1.20.2", "version (the environment (STEPKUBE_VERSION))", "never replaced"),
        (
            "master",
            "master",
            "version (the environment (STEPKUBE_VERSION))",
            "branch, tag or commit master",
        ),
        ("v1.20.2", "master", "an earlier run; the next run uses master", "never replaced"),
    ],
)
def test_the_reason_for_the_kubernetes_version(
    tree: Path, requested: str, version: str | None, where: str, why: str
) -> None:
    environ = {"STEPKUBE_VERSION": version} if version else {}
    found = by_name(check_out(tree, requested=requested, **environ))["Kubernetes"]
    assert (found.asked, found.asked_in, found.taken) == (requested, where, "v1.20.2")
    assert found.origin == "git here, commit 0123456789ab"
    assert why in found.why


@pytest.mark.parametrize(
    ("asked", "taken", "why"),
    [
        ((3, 6, 4), (3, 6, 4), "^the requested version$"),
        ((3, 5, 3), (3, 5, 21), "^a newer patch of the same minor$"),
        ((3, 5, 3), (3, 6, 4), "^a newer etcd (?!.*before)"),
        ((3, 1, 12), (3, 5, 35), r"^a newer etcd .*before 3\.5"),
    ],
)
def test_the_reason_for_a_release(
    asked: tuple[int, int, int], taken: tuple[int, int, int], why: str
) -> None:
    assert re.search(why, versions.why(asked, taken))


def test_etcd_version_has_priority_over_the_tree(tree: Path) -> None:
    etcd = by_name(check_out(tree, ETCD_VERSION="3.6.4"))["etcd"]
    assert (etcd.asked, etcd.asked_in) == ("3.6.4", "etcd.version (the environment (ETCD_VERSION))")


@pytest.mark.parametrize(
    ("go", "expected"),
    [
        ("1.24.9", "check of the Go version is off"),
        ("1.25.0", "check of the Go version is on"),
        ("1.27.1", "check of the Go version is on"),
        ("1.28.0", "cannot debug Go 1.28"),
    ],
)
def test_which_go_delve_supports(go: str, expected: str) -> None:
    made, delve = (
        Tool(name, version, Path("/bin"), None, "here")
        for name, version in (("go", go), ("delve", "1.27.2"))
    )
    reason = versions.delve(made, delve).why
    assert "Go 1.25 to 1.27" in reason and reason.endswith(expected)


@pytest.mark.parametrize(
    ("spoken", "taken", "enough"),
    [
        (("v1alpha2",), (1, 6, 20), True),
        (("v1alpha2",), (2, 0, 0), False),
        (("v1", "v1alpha2"), (2, 1, 3), True),
        (("v1",), (1, 5, 9), False),
        (("v1",), (1, 7, 0), True),
    ],
)
def test_which_containerd_the_kubelet_can_use(
    spoken: tuple[str, ...], taken: tuple[int, int, int], enough: bool
) -> None:
    assert ("does not" not in versions.why_runtime(spoken, taken)) == enough


def test_the_runtime_endpoint_has_priority(tree: Path) -> None:
    found = by_name(check_out(tree, CONTAINER_RUNTIME_ENDPOINT="unix:///run/crio.sock"))["runtime"]
    assert found.taken == "unix:///run/crio.sock"
    assert found.origin.endswith("the environment (CONTAINER_RUNTIME_ENDPOINT))")


def test_installed_plugins(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containerd, "_installed_cni_plugins", lambda: Path("/opt/cni/bin"))
    assert by_name(check_out(tree))["CNI plugins"].origin == "/opt/cni/bin"
    monkeypatch.setattr(containerd, "_installed_cni_plugins", lambda: None)
    assert by_name(check_out(tree))["CNI plugins"].taken == versions.NOT_MADE


def test_the_stamp_shows_an_edited_tree(tree: Path) -> None:
    checkout = Checkout(tree, "v1.20.2", "0123456789abcdef", "here", "auto")
    clean = versions.stamp(checkout)
    assert (clean["gitVersion"], clean["gitTreeState"]) == ("v1.20.2", "clean")
    (tree / "hack/lib/etcd.sh").write_text("")
    edited = versions.stamp(checkout)
    assert (edited["gitVersion"], edited["gitTreeState"]) == ("v1.20.2-dirty", "dirty")


def test_output_is_plain_json_and_no_file_is_written(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = check_out(tree)

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tree.parent.rglob("*")}

    before = times()
    assert versions.print_versions(chosen, "json") is None
    answer = json.loads(capsys.readouterr().out)
    assert answer["checkout"]["tree"] == str(tree)
    assert [choice["what"] for choice in answer["choices"]][:4] == [
        "Kubernetes",
        "Go",
        "etcd",
        "Delve",
    ]
    assert answer["stamp"]["gitVersion"] == "v1.20.2"
    assert versions.print_versions(chosen, "text") is None
    assert "asked for  3.4.13 in hack/lib/etcd.sh" in capsys.readouterr().out
    assert times() == before


def test_without_a_checkout_the_error_names_the_command(tmp_path: Path) -> None:
    empty = load.load({"STEPKUBE_HOME": str(tmp_path)}, {}, Path("/dev/null"))
    failed = versions.print_versions(empty, "text")
    assert "doit checkout" in failed.message
