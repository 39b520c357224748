"""An instance with a checkout and tools to bundle, and the import of a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.bundle import read, write
from tasks.checkout import tasks as checkout
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system import files
from tests.support import miniature

GENERATED = "pkg/generated/zz_generated.go"


def instance(tmp_path: Path) -> Settings:
    """Make an instance with a checkout and with small files as tools."""
    remote = miniature.make(tmp_path / "remote", tags=("v1.28.3",))
    (remote / ".gitignore").write_text("zz_generated*\n_output\n")
    miniature.commit(remote, "second")
    miniature.git(remote, "tag", "--force", "v1.28.3")
    loaded = load(tmp_path / "one", STEPKUBE_ORIGIN_GIT=str(remote))
    assert checkout.make(loaded) is None
    tools = tmp_path / "tools"
    for name in (
        "go/bin/go",
        "go/VERSION",
        "go/test/big.go",
        "go/pkg/linux_amd64/x.a",
        "go/pkg/tool/asm",
        "etcd",
        "dlv",
        "cni/bridge",
        "cni/loopback",
    ):
        files.write(tools / name, f"{name}\n", 0o755)
    for one in (
        tool_record.Tool("go", "1.21.5", tools / "go/bin/go", tools / "go", "a proxy"),
        tool_record.Tool("etcd", "3.5.9", tools / "etcd", None, "the distribution"),
        tool_record.Tool("cni", "1.9.1", tools / "cni", None, "built"),
    ):
        tool_record.save_tool(loaded, one)
    delve = tool_record.Tool("delve", "1.27.2", tools / "dlv", None, "built")
    tool_record.save_tool(loaded, delve, min_go="1.25", max_go="1.27")
    return loaded


def load(home: Path, **environ: str) -> Settings:
    return settings.load(
        {
            "STEPKUBE_HOME": str(home),
            "STEPKUBE_CONFIG": os.devnull,
            "STEPKUBE_ORIGIN_APT": "",
            "STEPKUBE_ORIGIN_GIT": "",
            **environ,
        }
    )


def edit(tree: Path) -> None:
    (tree / "pkg/scheduler/scheduler.go").write_bytes(b"package scheduler // \xff\r\n")
    (tree / "pkg/scheduler/new.bin").write_bytes(bytes(range(256)))
    (tree / "pkg/kubelet/kubelet.go").unlink()
    files.write(tree / GENERATED, "package generated\n")
    files.write(tree / "_output/old.go", "package old\n")


def tree_of(chosen: Settings) -> Path:
    return load_checkout(chosen.paths.lock).tree


def pack(made: Settings, name: str = "k.tar.gz") -> Path:
    target = made.paths.home.parent / name
    failed = write.make(made, str(target), binaries=False)
    assert failed is None, failed
    return target


def import_into(chosen: Settings, bundle: Path) -> str:
    """Import a bundle; return the message of the failure, or an empty string."""
    failed = read.import_bundle(chosen, str(bundle))
    return "" if failed is None else str(failed.message)


def require_nothing_imported(chosen: Settings) -> None:
    left = [item.name for item in chosen.paths.home.iterdir()]
    assert left in ([], ["bundle.lock"]), left
