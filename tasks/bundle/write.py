"""`doit bundle`: the toolchain, the source and perhaps the binaries of an instance in one file."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from doit import get_initial_workdir
from doit.exceptions import TaskFailed

from tasks.build import layout, sources
from tasks.build import tasks as build
from tasks.bundle import index, source
from tasks.bundle.index import Entry, Index
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system import files, resources
from tasks.system.run import run

TOOLS = ("go", "etcd", "delve", "cni")
_MARK = ".stepkube-origin"
_NOT_NEEDED = re.compile(
    r"(test|api|doc|misc)/|pkg/(?!tool/|include/)[^/]+/|src/(.*/)?testdata/|src/.*_test\.go"
)
"""What of a GOROOT no build of ours reads: all packages are compiled without optimisation, so the
ones that come compiled are never used."""
_LEVEL = 1
"""Of gzip: 6 takes three times as long for a tenth less."""


@console.action
def make(settings: Settings, output: str, binaries: bool) -> None:
    """Write the bundle and its checksum under temporary names, and rename them into place."""
    checkout = load_checkout(settings.paths.lock)
    _require_vendor(checkout.tree)
    name = Path(output or _name(checkout.version, binaries)).expanduser()
    target = Path(get_initial_workdir() or ".", name).absolute()
    if target.is_dir():
        raise Failure(f"--output: {target} is a folder", "name a file in it")
    if not target.parent.is_dir():
        raise Failure(f"--output: there is no folder {target.parent}", "make it, or name another")
    temporary = settings.paths.cache / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temporary) as scratch:
        head = run(*checkout.git, "rev-parse", "HEAD", cwd=checkout.tree).stdout.strip()
        members = source.collect(checkout.tree, head, Path(scratch), checkout.git)
        records = {}
        for one in TOOLS:
            records[one], found = _tool(settings, one)
            members |= found
        members |= _binaries(settings) if binaries else {}
        contents = Index(
            architecture=resources.architecture(),
            checkout={
                **{k: str(v) for k, v in asdict(checkout).items()},
                "head": head,
                "root": str(layout.layout_of(settings.paths, checkout).root),
            },
            tools=records,
            members={path: _entry(file) for path, file in sorted(members.items())},
        )
        need = round(contents.size / resources.GIB + 0.1, 2)
        resources.require_disk(target.parent, need, "the bundle")
        _write(target, contents, members)
    size = target.stat().st_size / 1e6
    console.say(f"  {target}\n  {target}.sha256")
    with_ = f" with {len(contents.modules())} binaries" if binaries else ""
    console.note(f"{size:.0f} MB, {len(members)} files{with_}")


def _require_vendor(tree: Path) -> None:
    """Raise Failure for a tree that cannot be built where there is no network."""
    described = tree / "go.mod"
    needs = described.is_file() and re.search(r"^require\b", described.read_text(), re.MULTILINE)
    lacks = layout.missing_packages(tree)
    if needs and (lacks or not (tree / layout.LISTED).is_file()):
        command = "go work vendor" if (tree / "go.work").is_file() else "go mod vendor"
        what = f"a vendor/ without {lacks}" if lacks else "no vendor/"
        raise Failure(
            f"{tree} has {what}: what it is built of lies in Go's cache, not in the tree",
            f"run {command} in it, or take the release from git (origin.order: git)",
        )


def _name(version: str, binaries: bool) -> str:
    kind = "-binaries" if binaries else ""
    return f"stepkube-{version.replace('+', '-')}-{resources.architecture()}{kind}.tar.gz"


def _tool(settings: Settings, name: str) -> tuple[dict[str, str], dict[str, Path]]:
    """Return a tool's record with paths of the workspace, and its files by those paths."""
    made = tool_record.load_tool(settings, name)
    record: dict[str, str] = dict(files.read_json(settings.paths.tool(name)))
    folder = f"toolchain/{name if name == 'go' else name + '-'}{made.version}"
    if made.root is not None:
        found = {f"{folder}/{path}": file for path, file in _walk(made.root)}
        return record | {"bin": f"{folder}/bin/go", "root": folder}, found
    if made.bin.is_dir():
        found = {f"{folder}/{path}": file for path, file in _walk(made.bin)}
        return record | {"bin": folder}, found
    return record | {"bin": f"{folder}/{made.bin.name}"}, {f"{folder}/{made.bin.name}": made.bin}


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder, through links: a distribution's Go is made of them."""
    for folder, below, names in os.walk(root, followlinks=True):
        here = Path(folder)
        inside = here.relative_to(root)
        below[:] = [one for one in below if not _NOT_NEEDED.match(f"{inside / one}/")]
        for name in names:
            if (
                (here / name).is_file()
                and name != _MARK
                and not _NOT_NEEDED.fullmatch(str(inside / name))
            ):
                yield str(inside / name), here / name


def _binaries(settings: Settings) -> dict[str, Path]:
    """Return the binaries of what an `up` here would run, built first when they are not."""
    wanted = {COMPONENTS[name].module for name in cluster.components_to_run(settings)} | {"kubectl"}
    found = {}
    for module in sorted(filter(None, wanted)):
        for step in (sources.refresh, build.build):
            said = step(settings, module)
            if isinstance(said, TaskFailed):
                raise Failure(said.message)
        path = build.load_binary(settings, module).path
        found[f"bin/{path.parent.name}/{module}"] = path
    return found


def _entry(file: Path) -> Entry:
    about = file.stat()
    return Entry(files.digest_file(file), about.st_size, bool(about.st_mode & 0o111))


def _write(target: Path, contents: Index, members: Mapping[str, Path]) -> None:
    beside = target.with_name(f"{target.name}.sha256")
    part = target.with_name(f".{target.name}.part")
    beat, done = console.Heartbeat(), 0
    try:
        with (
            part.open("wb") as raw,
            gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            text = index.dump(contents)
            tar.addfile(_info(index.NAME, len(text), False), io.BytesIO(text))
            for name, entry in contents.members.items():
                with members[name].open("rb") as stream:
                    tar.addfile(_info(name, entry.size, entry.executable), stream)
                done += entry.size
                beat.beat(f"{done / 1e6:.0f} of {contents.size / 1e6:.0f} MB packed")
        beside.unlink(missing_ok=True)
        digest = files.digest_file(part)
        part.replace(target)
        files.write(beside, f"{digest}  {target.name}\n")
    finally:
        part.unlink(missing_ok=True)


def _info(name: str, size: int, executable: bool) -> tarfile.TarInfo:
    """Return the head of a member, which tells neither when nor by whom it was made."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if executable else 0o644
    return info
