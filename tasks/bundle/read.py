"""`doit unbundle`: verify a bundle whole, then take over what it has; or take nothing at all."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit import get_initial_workdir

from tasks.bundle import index, source
from tasks.bundle.index import Entry, Index
from tasks.checkout import tasks as checkout
from tasks.checkout.base import slug
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import require_kubernetes
from tasks.settings.load import Settings
from tasks.system import files, resources

_MARK = ".stepkube-origin"
_CHUNK = 1 << 20
_DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error)


@console.action
def import_bundle(settings: Settings, place: str) -> None:
    """Verify the bundle and bring its tools, source and binaries into the workspace.

    Every byte is checked before the first file gets its place; a second time nothing is done again.
    """
    if not place:
        raise Failure("no bundle is named", "doit unbundle FILE, or set origin.bundle")
    path = find_bundle(place)
    if not path.is_file():
        raise Failure(f"there is no bundle {path}", "correct origin.bundle (STEPKUBE_BUNDLE)")
    home = settings.paths.home
    with files.locked(home / "bundle.lock"):
        stage = home / ".bundle.making"
        shutil.rmtree(stage, ignore_errors=True)
        try:
            _require_checksum(path)
            contents = _unpack(settings, path, stage)
            tree = _restore(settings, contents, path, stage)
            binaries = _place(settings, contents, path, stage)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
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
    """Return the path of a bundle; a relative one is relative to where the user called doit."""
    return Path(get_initial_workdir() or ".", Path(place).expanduser()).absolute()


def state(path: Path) -> dict[str, Any]:
    """Return what tells this file from another one of its name."""
    about = path.stat()
    return {"file": str(path), "size": about.st_size, "changed": about.st_mtime_ns}


def _require_checksum(path: Path) -> None:
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        console.say(f"  {beside} is not there: only what the bundle says of itself is checked")
        return
    stated = beside.read_text(errors="replace").split()
    console.progress(f"checking {path.name}")
    found = files.digest_file(path)
    if not stated or found != stated[0].lower():
        raise Failure(
            f"{path} is damaged: its sha256 is {found}, {beside.name} says"
            f" {stated[0] if stated else 'nothing'}",
            "copy the bundle and its .sha256 anew",
        )


def _unpack(settings: Settings, path: Path, stage: Path) -> Index:
    """Unpack a bundle into a folder of its own, each file checked as it comes."""
    try:
        with tarfile.open(path, "r|gz") as tar:
            members = iter(tar)
            contents = _contents(settings, tar, next(members, None), path)
            lacking = dict(contents.members)
            done, beat = 0, console.Heartbeat()
            for member in members:
                index.require_name(member.name, str(path))
                entry = lacking.pop(member.name, None)
                if entry is None or not member.isfile() or member.size != entry.size:
                    raise Failure(f"{path}: {member.name} is not what its {index.NAME} says")
                _write(tar, member, entry, stage, path)
                done += entry.size
                beat.beat(f"{done / 1e6:.0f} of {contents.size / 1e6:.0f} MB unpacked and checked")
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise _truncated(path, str(error)) from error
    if lacking:
        raise _truncated(path, f"{len(lacking)} files lack, {min(lacking)} is the first")
    return contents


def _contents(
    settings: Settings, tar: tarfile.TarFile, member: tarfile.TarInfo | None, path: Path
) -> Index:
    stream = tar.extractfile(member) if member and member.isfile() else None
    if member is None or stream is None or member.name != index.NAME:
        raise Failure(f"{path} is no bundle: it does not begin with a {index.NAME}")
    if member.size > index.LIMIT:
        raise Failure(f"{path} is no bundle: its {index.NAME} is too long")
    contents = index.parse(stream.read(), str(path))
    wanted = checkout.normal(settings.version)
    index.require_fit(contents, resources.architecture(), wanted, str(path))
    _require_free(settings, contents, path)
    need = round(2 * contents.size / resources.GIB + 0.1, 2)
    resources.require_disk(settings.paths.home, need, f"the content of {path.name}")
    return contents


def _require_free(settings: Settings, contents: Index, path: Path) -> None:
    """Fail when the tree's place is taken by something else than what the bundle has."""
    tree = _tree(settings, contents)
    if not tree.exists():
        return
    edits = contents.members.get(index.EDITS)
    with tempfile.TemporaryDirectory(dir=settings.paths.home) as scratch:
        patch = edits.sha256 if edits else ""
        if not source.is_same_source(tree, contents.checkout["head"], patch, Path(scratch)):
            raise Failure(
                f"{tree} is there already and differs from what {path} has: nothing was taken",
                f"keep your edits elsewhere and remove it (rm -r {tree}), or import the bundle"
                " into another workspace (STEPKUBE_HOME)",
            )


def _tree(settings: Settings, contents: Index) -> Path:
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
            f"{path} is damaged: the sha256 of {member.name} is not the one it states",
            "copy the bundle anew",
        )
    target.chmod(0o755 if entry.executable else 0o644)


def _truncated(path: Path, why: str) -> Failure:
    return Failure(
        f"{path} is cut off, damaged or no bundle ({why}): nothing was taken",
        "copy the bundle anew, and its .sha256 with it",
    )


def _restore(settings: Settings, contents: Index, path: Path, stage: Path) -> Path:
    """Make the worktree beside its place, unless the very same one is there; return the place."""
    tree = _tree(settings, contents)
    if not tree.exists():
        console.progress(f"writing {tree}")
        source.restore(stage, stage / "tree", contents.checkout["head"])
        require_kubernetes(stage / "tree", str(path))
    return tree


def _place(settings: Settings, contents: Index, path: Path, stage: Path) -> str:
    """Give everything its name, the tree last; what is there already is kept."""
    home, tree = settings.paths.home, _tree(settings, contents)
    for record in contents.tools.values():
        folder = stage / "/".join(record["bin"].split("/")[:2])
        files.write(folder / _MARK, record["from"])
        if not (stage / record["bin"]).exists():
            raise Failure(f"{path} lacks the program {record['bin']}")
    for folder in _folders(stage, "toolchain"):
        _rename(folder, home / "toolchain" / folder.name)
    modules = contents.modules()
    said = ""
    if modules and index.runs_here(contents.libc):
        for folder in _folders(stage, "bin"):
            _rename(folder, settings.paths.binaries / folder.name)
        said = f" with {len(modules)} binaries"
        if contents.checkout["root"] != str(tree):
            console.say(f"  the binaries name their source files below {contents.checkout['root']}")
    elif modules:
        console.warn(f"the binaries need {contents.libc}: they will be compiled here instead")
    if not tree.exists():
        _rename(stage / "tree", tree)
    return said


def _folders(stage: Path, kind: str) -> Iterator[Path]:
    yield from sorted((stage / kind).iterdir()) if (stage / kind).is_dir() else ()


def _rename(fresh: Path, target: Path) -> None:
    """Give a folder its name, or its files where the folder is there and lacks them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        fresh.rename(target)
        return
    for file in fresh.iterdir() if re.fullmatch("[0-9a-f]{16}", fresh.name) else ():
        if not (target / file.name).exists():
            file.rename(target / file.name)
