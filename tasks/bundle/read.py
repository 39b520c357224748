"""`doit unbundle`: verify the complete bundle, then import it. A bad bundle imports nothing."""

from __future__ import annotations

import hashlib
import re
import shlex
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.bundle import index, source
from tasks.bundle.index import Entry, Index
from tasks.checkout import tasks as checkout
from tasks.checkout.base import slug
from tasks.cli.command_line import start_folder
from tasks.cli.task import action
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tool_record import ORIGIN
from tasks.kubernetes.tree import require_kubernetes
from tasks.settings.load import Settings
from tasks.settings.paths import expanded
from tasks.system import files, resources, unpack

_CHUNK = 1 << 20
_DAMAGED = (OSError, *unpack.DAMAGED)


@action
def import_bundle(settings: Settings, file: str) -> None:
    """Verify a bundle and import its tools, source and binaries into the workspace.

    Every byte is checked before the first file is moved into the workspace. Files that exist are
    kept, so a second import changes nothing.
    """
    if not file:
        raise Failure("no bundle is given", "run: doit unbundle FILE, or set origin.bundle")
    path = find_bundle(file)
    if not path.is_file():
        raise Failure(f"bundle {path} does not exist", "correct origin.bundle (STEPKUBE_BUNDLE)")
    home = settings.paths.home
    with files.locked(home / "bundle.lock"):
        _require_checksum(path)
        with files.scratch(home / ".bundle.making") as stage:
            contents = _unpack(settings, path, stage)
            tree = _restore_tree(settings, contents, path, stage)
            binaries = _move_into_workspace(settings, contents, path, stage)
    files.write_json(
        settings.paths.bundle,
        {
            **state(path),
            "checkout": {**contents.checkout, "tree": str(tree)},
            "tools": {
                name: {
                    key: str(home / text) if key in ("bin", "root") else text
                    for key, text in record.items()
                }
                for name, record in contents.tools.items()
            },
        },
    )
    console.note(f"Kubernetes {contents.checkout['version']}{binaries}")


def find_bundle(place: str) -> Path:
    """Return the absolute path of a bundle; a relative path starts where the user called doit."""
    return (start_folder() / expanded(place)).absolute()


def state(path: Path) -> dict[str, Any]:
    """Return path, size and time of a bundle (ns); they show that the file was replaced."""
    status = path.stat()
    return {"file": str(path), "size": status.st_size, "changed": status.st_mtime_ns}


def _require_checksum(path: Path) -> None:
    checksum = path.with_name(f"{path.name}.sha256")
    if not checksum.is_file():
        console.say(f"  {checksum} does not exist: only the digests in the bundle are checked")
        return
    expected = checksum.read_text(errors="replace").split()
    console.progress(f"checking {path.name}")
    digest = files.digest_file(path)
    if not expected or digest != expected[0].lower():
        raise Failure(
            f"{path} is damaged: its sha256 is {digest}, but {checksum.name} has"
            f" {expected[0] if expected else 'no digest'}",
            "copy the bundle and its .sha256 again",
        )


def _unpack(settings: Settings, path: Path, stage: Path) -> Index:
    """Unpack a bundle into the folder `stage` and check each file while it is read."""
    try:
        with tarfile.open(path, "r|gz") as tar:
            members = iter(tar)
            contents = _read_index(settings, tar, next(members, None), path)
            missing = dict(contents.members)
            done, beat = 0, console.Heartbeat()
            for member in members:
                index.require_name(member.name, str(path))
                entry = missing.pop(member.name, None)
                if entry is None or not member.isfile() or member.size != entry.size:
                    raise Failure(
                        f"{path}: {member.name} does not match {index.NAME}",
                        "copy the bundle again",
                    )
                _write(tar, member, entry, stage, path)
                done += entry.size
                beat.beat(f"{done / 1e6:.0f} of {contents.size / 1e6:.0f} MB unpacked and checked")
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise _incomplete(path, str(error)) from error
    if missing:
        raise _incomplete(path, f"files missing: {len(missing)}, first: {min(missing)}")
    return contents


def _read_index(
    settings: Settings, tar: tarfile.TarFile, member: tarfile.TarInfo | None, path: Path
) -> Index:
    stream = tar.extractfile(member) if member and member.isfile() else None
    if member is None or stream is None or member.name != index.NAME:
        raise Failure(
            f"{path} is not a bundle: its first member is not {index.NAME}",
            index.NOT_A_BUNDLE_HINT,
        )
    if member.size > index.LIMIT:
        raise Failure(
            f"{path} is not a bundle: {index.NAME} is larger than {index.LIMIT >> 20} MiB",
            index.NOT_A_BUNDLE_HINT,
        )
    contents = index.parse(stream.read(), str(path))
    version = checkout.normalized_version(settings.version)
    index.require_fit(contents, resources.architecture(), version, str(path))
    _require_same_tree(settings, contents, path)
    need = round(2 * contents.size / resources.GIB + 0.1, 2)
    resources.require_disk(settings.paths.home, need, f"the content of {path.name}")
    return contents


def _require_same_tree(settings: Settings, contents: Index, path: Path) -> None:
    """Raise Failure if the folder of the tree exists and differs from the bundle's source."""
    tree = _tree_path(settings, contents)
    if not tree.exists():
        return
    edits = contents.members.get(index.EDITS)
    with tempfile.TemporaryDirectory(dir=settings.paths.home) as scratch:
        patch = edits.sha256 if edits else ""
        if not source.is_same_source(tree, contents.checkout["head"], patch, Path(scratch)):
            raise Failure(
                f"{tree} exists and differs from the source in {path}; nothing was imported",
                f"save your edits in another folder and run: rm -r {shlex.quote(str(tree))};"
                " or set STEPKUBE_HOME to another workspace",
            )


def _tree_path(settings: Settings, contents: Index) -> Path:
    version = slug(contents.checkout["version"])
    return settings.paths.source / f"{version}-bundle-{contents.checkout['head'][:12]}"


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, entry: Entry, stage: Path, path: Path
) -> None:
    target = stage / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    stream, digest = tar.extractfile(member), hashlib.sha256()
    assert stream is not None  # noqa: S101 - it is a file
    with target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != entry.sha256:
        raise Failure(
            f"{path} is damaged: the sha256 of {member.name} does not match {index.NAME}",
            "copy the bundle again",
        )
    target.chmod(0o755 if entry.executable else 0o644)


def _incomplete(path: Path, reason: str) -> Failure:
    return Failure(
        f"{path} is incomplete, damaged or not a bundle ({reason}); nothing was imported",
        "copy the bundle and its .sha256 again",
    )


def _restore_tree(settings: Settings, contents: Index, path: Path, stage: Path) -> Path:
    """Create the worktree in `stage` unless the workspace has it; return its final path."""
    tree = _tree_path(settings, contents)
    if not tree.exists():
        console.progress(f"writing {tree}")
        source.restore(stage, stage / "tree", contents.checkout["head"])
        require_kubernetes(stage / "tree", str(path))
    return tree


def _move_into_workspace(settings: Settings, contents: Index, path: Path, stage: Path) -> str:
    """Move all folders into the workspace, the tree last; return a note about the binaries.

    Files that exist are kept.
    """
    home, tree = settings.paths.home, _tree_path(settings, contents)
    for record in contents.tools.values():
        folder = stage / "/".join(record["bin"].split("/")[:2])
        files.write(folder / ORIGIN, record["from"])
        if not (stage / record["bin"]).exists():
            raise Failure(f"{path}: program {record['bin']} is missing", index.NOT_A_BUNDLE_HINT)
    for folder in _folders(stage, "toolchain"):
        _move(folder, home / "toolchain" / folder.name)
    modules = contents.modules()
    note = ""
    if modules and index.runs_here(contents.libc):
        for folder in _folders(stage, "bin"):
            _move(folder, settings.paths.binaries / folder.name)
        note = f" with {len(modules)} binaries"
        if contents.checkout["root"] != str(tree):
            root = contents.checkout["root"]
            console.say(f"  debug information of the binaries names source files below {root}")
    elif modules:
        console.warn(
            f"the bundle's binaries need {contents.libc}: they are not imported, doit builds them"
        )
    if not tree.exists():
        _move(stage / "tree", tree)
    return note


def _folders(stage: Path, kind: str) -> Iterator[Path]:
    yield from sorted((stage / kind).iterdir()) if (stage / kind).is_dir() else ()


def _move(fresh: Path, target: Path) -> None:
    """Move a folder to its final path; if the path exists, add the binaries that are missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        fresh.rename(target)
        return
    for file in fresh.iterdir() if re.fullmatch("[0-9a-f]{16}", fresh.name) else ():
        if not (target / file.name).exists():
            file.rename(target / file.name)
