"""Prebuilt binaries (build.output, GO_OUT; -o DIR and -O as in local-up-cluster.sh) are copied.

Each binary is copied to bin/<digest>/<module>, like a built one. So a rebuild in its folder does
not change a running process; the next `doit up` restarts the component with the new binary.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.build import dwarf_check, prune
from tasks.cli.task import action, config_changed
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import facts
from tasks.kubernetes.tree import load_checkout
from tasks.settings import groups
from tasks.settings.load import Settings
from tasks.settings.paths import user_path
from tasks.system import files, sealed
from tasks.system.resources import architecture
from tasks.system.run import run


def is_used(settings: Settings) -> bool:
    """Return whether prebuilt binaries are used."""
    return bool(settings.build.output)


def binary_path(settings: Settings, module: str) -> Path:
    """Return the path of a module's prebuilt binary. Raises Failure if -O finds no folder."""
    if settings.build.output != groups.GUESS:
        return user_path(settings.build.output) / module
    return newest_output_folder(load_checkout(settings.paths.lock).tree) / module


def newest_output_folder(tree: Path) -> Path:
    """Return the folder with the tree's newest kube-apiserver, as upstream's script finds it.

    Raises Failure if there is none.
    """
    platform = f"linux/{architecture()}"
    folders = (
        "_output/bin",
        f"_output/dockerized/bin/{platform}",
        f"_output/local/bin/{platform}",
        f"platforms/{platform}",
        "_output/local/go/bin",
        "_output/dockerized/go/bin",
    )
    found = [path for name in folders if (path := tree / name / "kube-apiserver").is_file()]
    if not found:
        raise Failure(
            f"-O: no kube-apiserver was found below {tree / '_output'}",
            "build one in the tree (make WHAT=cmd/kube-apiserver), or set its folder with -o",
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent


@action
def copy_binary(settings: Settings, module: str) -> None:
    """Copy a module's prebuilt binary into the workspace and record it.

    Raises Failure, which names the file, if it is missing, does not run, or has another minor.
    """
    path = binary_path(settings, module)
    if not path.is_file():
        source = settings.source("build.output")
        hint = f"build {module} in {path.parent}, or unset build.output"
        raise Failure(f"{source}: {path} does not exist", hint)
    with prune.prune_lock(settings):
        _copy_and_record(settings, module, path)


def _copy_and_record(settings: Settings, module: str, path: Path) -> None:
    digest = files.digest_file(path)
    copy = settings.paths.binaries / digest[:16] / module
    if not sealed.is_intact(copy):
        _copy(path, copy)
        sealed.seal(copy)
    version = reported_version(copy, path, module)
    _require_minor(settings, path, version)
    info = dwarf_check.inspect(copy)
    record = {
        "module": module,
        "path": str(copy),
        "digest": digest,
        "go": info.go[0].removeprefix("go") if info.go else "",
        "version": version,
        "origin": str(path),
    }
    console.note(f"{version or 'unknown version'} from {path.parent}")
    if info.dwarf is None or info.optimized:
        problem = "has no debug information" if info.dwarf is None else "is optimised"
        console.note(f"{problem}: doit debug will refuse it")
    publish(settings, module, record)


def publish(settings: Settings, module: str, record: Mapping[str, str]) -> None:
    """Write the record of a module's current binary and link it in the instance's bin folder."""
    path = Path(record["path"])
    sealed.touch(path)
    files.write_json(settings.paths.built(module), dict(record))
    files.link(settings.paths.instance / "bin" / module, path)


def reported_version(binary: Path, original: Path, module: str) -> str:
    """Return the version that a binary reports, such as v1.20.2.

    Raises Failure, which names the original file, if the binary does not run.
    """
    kubectl = module == "kubectl"
    arguments = ("version", "--client", "--output=json") if kubectl else ("--version",)
    result = run(binary, *arguments, check=False, timeout=60, env={"HOME": "/"})
    if result.code:
        hint = "check that it is built for the architecture of this machine"
        raise Failure(f"{original} does not run: {result.tail(1)}", hint)
    if kubectl:
        return str(json.loads(result.stdout)["clientVersion"]["gitVersion"])
    return result.stdout.strip().rpartition(" ")[2]


def task(settings: Settings, module: str) -> dict[str, Any]:
    """Return the task that copies a module's prebuilt binary instead of a build."""
    try:
        path = binary_path(settings, module)
    except Failure:  # -O before the first checkout: the action reports it
        path = Path()
    return {
        "doc": f"copy {module} from {settings.build.output}",
        "actions": [(copy_binary, [settings, module])],
        # No file_dep on a missing file: doit's error would not say how to fix it, the action does.
        "file_dep": [str(path)] if path.is_file() else [],
        "task_dep": ["checkout"],
        "uptodate": [path.is_file(), config_changed({"output": str(path)})],
    }


def _copy(path: Path, target: Path) -> None:
    files.make_shared(target.parent)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(path, part)
    part.chmod(0o755)
    part.replace(target)


def _require_minor(settings: Settings, path: Path, version: str) -> None:
    """Raise Failure if a binary has another minor than the checkout: its flags would not fit."""
    checkout = load_checkout(settings.paths.lock)
    stamped = version.startswith("v") and not version.startswith("v0.0.0")
    if stamped and facts.parse(version) != checkout.minor:
        raise Failure(
            f"{path} is {version}, but the checkout is {checkout.version}",
            f"set version: {version}, or set build.output to binaries of {checkout.version}",
        )
