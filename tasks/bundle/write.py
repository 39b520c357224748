"""`doit bundle`: write toolchain, source and optionally binaries of an instance to one file."""

from __future__ import annotations

import gzip
import io
import os
import re
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from tasks.build import layout, sources
from tasks.build import tasks as build
from tasks.bundle import index, source
from tasks.bundle.index import Entry, Index
from tasks.cli.command_line import start_folder
from tasks.cli.task import action
from tasks.cluster import tasks as cluster
from tasks.components.registry import COMPONENTS
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.settings.paths import expanded
from tasks.system import files, resources

TOOLS = ("go", "etcd", "delve", "cni")
_NOT_NEEDED = re.compile(
    r"(test|api|doc|misc)/|pkg/(?!tool/|include/)[^/]+/|src/(.*/)?testdata/|src/.*_test\.go"
)
"""Paths in a GOROOT that our builds do not read. Compiled packages are among them: our builds
compile all packages again, without optimisation."""
_LEVEL = 1
"""gzip level: level 6 takes three times as long for a 10% smaller file."""


@action
def make(settings: Settings, output: str, binaries: bool) -> None:
    """Write the bundle under a temporary name and rename it when complete; write its .sha256."""
    checkout = load_checkout(settings.paths.lock)
    _require_vendor(checkout.tree)
    name = expanded(output or _default_name(checkout.version, binaries))
    target = (start_folder() / name).absolute()
    if target.is_dir():
        raise Failure(f"--output: {target} is a folder", "use the path of a file")
    if not target.parent.is_dir():
        raise Failure(
            f"--output: folder {target.parent} does not exist",
            f"run: mkdir -p {shlex.quote(str(target.parent))}",
        )
    temporary = settings.paths.cache / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=temporary) as scratch:
        head = checkout.git.run("rev-parse", "HEAD").stdout.strip()
        members = source.collect(checkout.git, head, Path(scratch))
        records = {}
        for tool in TOOLS:
            records[tool], tool_files = _tool(settings, tool)
            members |= tool_files
        built = _binaries(settings) if binaries else {}
        members |= built
        linked = any(map(needs_libc, built.values()))
        contents = Index(
            architecture=resources.architecture(),
            checkout={
                **{k: str(v) for k, v in asdict(checkout).items()},
                "head": head,
                "root": str(layout.layout_of(settings.paths, checkout).root),
            },
            tools=records,
            members={path: _entry(file) for path, file in sorted(members.items())},
            libc=index.host_libc() if linked else index.NO_LIBC,
        )
        need = round(contents.size / resources.GIB + 0.1, 2)
        resources.require_disk(target.parent, need, "the bundle")
        _write(target, contents, members)
    size = target.stat().st_size / 1e6
    console.say(f"  {target}\n  {target}.sha256")
    addition = f" with {len(contents.modules())} binaries" if binaries else ""
    console.note(f"{size:.0f} MB, {len(members)} files{addition}")


def _require_vendor(tree: Path) -> None:
    """Raise Failure if a tree cannot be built without network."""
    go_mod = tree / "go.mod"
    text = go_mod.read_text(errors="replace") if go_mod.is_file() else ""
    needs_packages = re.search(r"^require\b", text, re.MULTILINE)
    missing = layout.first_missing_package(tree)
    if needs_packages and (missing or not (tree / layout.MODULES_TXT).is_file()):
        command = "go work vendor" if (tree / "go.work").is_file() else "go mod vendor"
        vendor = f"a vendor/ without {missing}" if missing else "no vendor/"
        raise Failure(
            f"{tree} has {vendor}: its dependencies are only in Go's module cache",
            f"run in the tree: {command}; or use the release from git (set origin.order to git)",
        )


def _default_name(version: str, binaries: bool) -> str:
    kind = "-binaries" if binaries else ""
    return f"stepkube-{version.replace('+', '-')}-{resources.architecture()}{kind}.tar.gz"


def _tool(settings: Settings, name: str) -> tuple[dict[str, str], dict[str, Path]]:
    """Return the record of a tool with paths in the bundle, and its files by path in the bundle."""
    tool = tool_record.load_tool(settings, name)
    record = tool_record.read(settings.paths.tool(name)) or {}
    folder = f"toolchain/{name if name == 'go' else name + '-'}{tool.version}"
    if tool.root is not None:
        found = {f"{folder}/{path}": file for path, file in _walk(tool.root)}
        return record | {"bin": f"{folder}/bin/go", "root": folder}, found
    if tool.bin.is_dir():
        found = {f"{folder}/{path}": file for path, file in _walk(tool.bin)}
        return record | {"bin": folder}, found
    return record | {"bin": f"{folder}/{tool.bin.name}"}, {f"{folder}/{tool.bin.name}": tool.bin}


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder; follow links, because a distribution's Go uses them."""
    for folder, below, names in os.walk(root, followlinks=True):
        current = Path(folder)
        inside = current.relative_to(root)
        below[:] = [name for name in below if not _NOT_NEEDED.match(f"{inside / name}/")]
        for name in names:
            if (
                (current / name).is_file()
                and name != tool_record.ORIGIN
                and not _NOT_NEEDED.fullmatch(str(inside / name))
            ):
                yield str(inside / name), current / name


def _binaries(settings: Settings) -> dict[str, Path]:
    """Return the binaries of the modules that `up` needs, and build those that are not built."""
    components = cluster.components_to_run(settings)
    modules = {"kubectl", *(COMPONENTS[name].module for name in components)}
    found = {}
    for module in sorted(filter(None, modules)):
        sources.update(settings, module)
        build.build_module(settings, module)
        binary = build.load_binary(settings, module)
        found[f"bin/{binary.folder}/{module}"] = binary.path
    return found


def needs_libc(binary: Path) -> bool:
    """Return whether a binary is linked against a C library; true for a file of another format."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - `doit list` stays fast
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        with binary.open("rb") as stream:
            segments = ELFFile(stream).iter_segments()
            return any(segment.header.p_type == "PT_INTERP" for segment in segments)
    except ELFError:
        return True


def _entry(file: Path) -> Entry:
    status = file.stat()
    return Entry(files.digest_file(file), status.st_size, bool(status.st_mode & 0o111))


def _write(target: Path, contents: Index, members: Mapping[str, Path]) -> None:
    checksum = target.with_name(f"{target.name}.sha256")
    part = target.with_name(f".{target.name}.part")
    beat, done = console.Heartbeat(), 0
    try:
        with (
            files.shared(),
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
        checksum.unlink(missing_ok=True)
        digest = files.digest_file(part)
        part.replace(target)
        files.write(checksum, f"{digest}  {target.name}\n", 0o644)
    finally:
        part.unlink(missing_ok=True)


def _info(name: str, size: int, executable: bool) -> tarfile.TarInfo:
    """Return the header of a member; without time and owner, equal files give equal bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if executable else 0o644
    return info
