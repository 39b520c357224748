"""Binaries made elsewhere, as local-up-cluster.sh -o DIR and -O take them: used, not built.

Each is copied into bin/<digest>/<module> like one that was built here, so that rebuilding it in
its folder disturbs nothing that runs, and restarts its component at the next `doit up`.
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
from tasks.system import files
from tasks.system.resources import architecture
from tasks.system.run import run


def chosen(settings: Settings) -> bool:
    """Tell whether binaries made elsewhere are used."""
    return bool(settings.build.output)


def source(settings: Settings, module: str) -> Path:
    """Return where a module's binary is to be found. Raises Failure when a guess finds none."""
    if settings.build.output != groups.GUESS:
        return user_path(settings.build.output) / module
    return guessed(load_checkout(settings.paths.lock).tree) / module


def guessed(tree: Path) -> Path:
    """Return the folder below a tree's _output with the newest kube-apiserver, as upstream does."""
    there = f"linux/{architecture()}"
    folders = (
        "_output/bin",
        f"_output/dockerized/bin/{there}",
        f"_output/local/bin/{there}",
        f"platforms/{there}",
        "_output/local/go/bin",
        "_output/dockerized/go/bin",
    )
    found = [path for name in folders if (path := tree / name / "kube-apiserver").is_file()]
    if not found:
        raise Failure(
            f"-O: no kube-apiserver was found below {tree / '_output'}",
            "build one there (make WHAT=cmd/kube-apiserver), or name its folder with -o",
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent


@action
def take(settings: Settings, module: str) -> None:
    """Copy a module's binary to its place and write it down.

    Raises Failure naming the file when it is missing, cannot run, or is of another minor.
    """
    path = source(settings, module)
    if not path.is_file():
        origin = settings.source("build.output")
        raise Failure(f"{origin}: {path} does not exist", f"build {module} there, or unset it")
    with prune.prune_lock(settings):
        _take(settings, module, path)


def _take(settings: Settings, module: str, path: Path) -> None:
    digest = files.digest_file(path)
    place = settings.paths.binaries / digest[:16] / module
    if not place.is_file():
        _copy(path, place)
    said = version(place, path, module)
    _require_minor(settings, path, said)
    info = dwarf_check.inspect(place)
    record = {
        "module": module,
        "path": str(place),
        "digest": digest,
        "go": info.go[0].removeprefix("go") if info.go else "",
        "version": said,
        "origin": str(path),
    }
    console.note(f"{said or 'of unknown version'} from {path.parent}")
    if info.dwarf is None or info.optimized:
        what = "has no debug information" if info.dwarf is None else "is optimised"
        console.note(f"{what}: doit debug would refuse it")
    publish(settings, module, record)


def publish(settings: Settings, module: str, record: Mapping[str, str]) -> None:
    """Write down which binary a module has now and point the instance's bin folder at it."""
    path = Path(record["path"])
    path.touch()
    files.write_json(settings.paths.built(module), dict(record))
    files.link(settings.paths.instance / "bin" / module, path)


def version(binary: Path, named: Path, module: str) -> str:
    """Return the version a binary says it is, such as v1.20.2. Raises Failure if it cannot run."""
    words = ("version", "--client", "--output=json") if module == "kubectl" else ("--version",)
    answer = run(binary, *words, check=False, timeout=60, env={"HOME": "/"})
    if answer.code:
        raise Failure(f"{named} does not run: {answer.tail(1)}", "is it made for this machine?")
    if module == "kubectl":
        return str(json.loads(answer.stdout)["clientVersion"]["gitVersion"])
    return answer.stdout.strip().rpartition(" ")[2]


def task(settings: Settings, module: str) -> dict[str, Any]:
    """Return the task that takes a module's binary instead of building it."""
    try:
        path = source(settings, module)
    except Failure:  # there is no tree to guess in yet: the action tells
        path = Path()
    return {
        "doc": f"take {module} from {settings.build.output}",
        "actions": [(take, [settings, module])],
        # what does not exist is told by the action: doit's own words do not say what to do
        "file_dep": [str(one) for one in (path,) if one.is_file()],
        "task_dep": ["checkout"],
        "uptodate": [path.is_file(), config_changed({"output": str(path)})],
    }


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    shutil.copyfile(path, part)
    part.chmod(0o755)
    part.replace(place)


def _require_minor(settings: Settings, path: Path, said: str) -> None:
    checkout = load_checkout(settings.paths.lock)
    stamped = said.startswith("v") and not said.startswith("v0.0.0")
    if stamped and facts.parse(said) != checkout.minor:
        raise Failure(
            f"{path} is {said}, but the checkout, whose flags it would get, is {checkout.version}",
            f"set version: {said}, or name a folder with binaries of {checkout.version}",
        )
