"""A damaged bundle, or one of another machine or version, is refused as a whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.checkout import tasks as checkout
from tasks.system import resources
from tests.support.bundles import import_into, load, require_nothing_imported


@pytest.mark.parametrize("version", ["v1.20.2", "1.28.4", "main"])
def test_another_version_is_refused_before_the_import(
    bundle: Path, tmp_path: Path, version: str
) -> None:
    other = load(tmp_path / "two", STEPKUBE_VERSION=version)
    message = import_into(other, bundle)
    assert (
        "Kubernetes v1.28.3" in message
        and f"version is {checkout.normalized_version(version)}" in message
    )
    require_nothing_imported(other)


def test_a_bundle_of_another_architecture_is_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture, other = resources.architecture(), load(tmp_path / "two")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    message = import_into(other, bundle)
    assert f"is for {architecture}" in message and "riscv64" in message
    require_nothing_imported(other)


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-2000],
        lambda data: damaged(data, len(data) // 2),
        lambda data: b"not an archive",
    ],
)
def test_a_damaged_bundle_imports_nothing(
    bundle: Path, tmp_path: Path, damage: Callable[[bytes], bytes], checksum: bool
) -> None:
    other = load(tmp_path / "two")
    bundle.write_bytes(damage(bundle.read_bytes()))
    if not checksum:
        bundle.with_name("k.tar.gz.sha256").unlink()
    message = import_into(other, bundle)
    assert "damaged" in message and str(bundle) in message
    require_nothing_imported(other)


def rebuilt(bundle: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Path:
    """Write a bundle again with changed members, as an attacker would."""
    with tarfile.open(bundle) as tar:
        members = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    change(members)
    target = bundle.with_name("evil.tar.gz")
    with gzip.open(target, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as out:
        for info, data in members:
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return target


def add(name: str, data: bytes = b"evil", *, stated: bool = True) -> Callable[..., None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        value = json.loads(members[0][1])
        if stated:
            entry = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "executable": True,
            }
            value["members"][name] = entry
        members[0] = (members[0][0], json.dumps(value).encode())
        members.append((tarfile.TarInfo(name), data))

    return change


def alter(key: str, value: object) -> Callable[..., None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        head = json.loads(members[0][1])
        node = head
        *path, last = key.split("/")
        for step in path:
            node = node[step]
        node[last] = value
        members[0] = (members[0][0], json.dumps(head).encode())

    return change


def link(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    place = next(n for n, (info, _) in enumerate(members) if info.name.endswith("/VERSION"))
    info = members[place][0]
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[place] = (info, b"")


def swap(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    place = next(n for n, (info, _) in enumerate(members) if info.name.endswith("/VERSION"))
    members[place] = (members[place][0], members[place][1][::-1])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (swap, "sha256 of toolchain/go1.21.5/VERSION"),
        (add("toolchain/../../evil"), "'toolchain/../../evil' leads outside"),
        (add("/etc/evil"), "'/etc/evil' leads outside"),
        (add("instances/default/evil"), "'instances/default/evil' leads outside"),
        (add("bin"), "'bin' leads outside"),
        (add("source/ignored/.git/config"), "'source/ignored/.git/config'"),
        (add("source/ignored/pkg/.GIT/x.go"), "'source/ignored/pkg/.GIT/x.go'"),
        (alter("checkout/head", "-x"), "cannot read manifest.json"),
        (add("toolchain/evil", stated=False), "toolchain/evil does not match manifest.json"),
        (add("toolchain/../evil", stated=False), "'toolchain/../evil' leads outside"),
        (link, "toolchain/go1.21.5/VERSION does not match manifest.json"),
        (alter("tools/go/bin", "toolchain/../../../bin/sh"), "bin/sh' leads outside"),
        (alter("tools/go/bin", "toolchain/go1.21.5/bin/none"), "bin/none is missing"),
        (alter("checkout/version", "v1.28.3/../../evil"), "cannot read manifest.json"),
        (alter("format", 2), "has format 2"),
        (alter("members", []), "cannot read manifest.json"),
        (alter("tools", "none"), "cannot read manifest.json"),
        (lambda members: members.pop(), "files missing: 1"),
        (lambda members: members.pop(0), "first member is not manifest.json"),
        (lambda members: members.append(members[-1]), "does not match manifest.json"),
    ],
)
def test_a_bundle_cannot_write_outside_or_add_unlisted_files(
    bundle: Path, tmp_path: Path, change: Callable[..., None], expected: str
) -> None:
    evil, other = rebuilt(bundle, change), load(tmp_path / "two")
    assert expected in import_into(other, evil)
    require_nothing_imported(other)
    assert not (tmp_path / "evil").exists() and not Path("/etc/evil").exists()


def test_binaries_for_another_c_library_are_not_imported(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        add("bin/0123456789abcdef/kubelet")(members)
        alter("libc", "glibc 9.99")(members)

    other = load(tmp_path / "two")
    assert import_into(other, rebuilt(bundle, change)) == ""
    assert "binaries need glibc 9.99" in capsys.readouterr().err
    assert not other.paths.binaries.exists()


def test_the_pack_must_contain_the_commit_of_the_index(bundle: Path, tmp_path: Path) -> None:
    evil = rebuilt(bundle, alter("checkout/head", "0" * 40))
    other = load(tmp_path / "two")
    assert "cat-file" in import_into(other, evil)
    require_nothing_imported(other)
