"""Every file that stepkube writes and reads back, and what can have happened to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.debug import journal
from tasks.settings.load import Settings
from tasks.system import process
from tasks.system.procfs import Identity

MODULE = "kube-scheduler"
BUILT = "kube-proxy"
"""Another name, so that each file has another name."""
NOBODY = Identity("another boot", 7, 7)
TOOL = {"version": "1.24.0", "bin": "/nowhere/go", "from": "a test"}
CHECKOUT = {
    "tree": "/nowhere",
    "version": "v1.28.3",
    "commit": "0" * 40,
    "origin": "a test",
    "requested": "auto",
}


def write_all(settings: Settings) -> dict[str, Path]:
    """Write every file with valid content, unless a process has made it; return their paths."""
    paths = settings.paths
    record = process.Record(
        "kubelet", NOBODY, ("kubelet",), {"A": "b"}, "/", 0, "/kubelet", 1.0, "f", "/nowhere.log"
    )
    binary = {"module": BUILT, "path": "/nowhere/x", "digest": "d", "go": "1.24", "version": "v1"}
    sealed = paths.binaries / "0123456789abcdef" / MODULE
    imported = {"file": "/k.tar.gz", "size": 1, "changed": 2, "tools": {"go": TOOL}}
    tree_state = {"made": ["/nowhere/x"], "before": "", "after": ""}
    host = {"files": {"/x": {"before": "d", "ours": ["e"]}}, "manager": "apt", "packages": ["x"]}
    contents: dict[Path, Any] = {
        paths.run / "kubelet.json": asdict(record),
        paths.run / "kubelet.exit": {"at": 5.0, "status": -9},
        paths.run / f"{MODULE}.flags": {"asked": "d", "refused": ["x"]},
        paths.run / "kubelet.cid": "0123456789abcdef",
        paths.swap / f"{MODULE}.json": asdict(journal.request(settings, MODULE, "debug-attach")),
        paths.lock: CHECKOUT,
        paths.bundle: {**imported, "checkout": {**CHECKOUT, "root": "/nowhere"}},
        paths.built(BUILT): binary,
        paths.sources(MODULE): f"{'0' * 40}  cmd/x.go\n{'1' * 40}  cmd/a b.go\n",
        paths.sources(MODULE).with_suffix(".packages"): {
            "key": "k",
            "packages": ["fmt"],
            "files": ["cmd/x.go"],
            "ignored": [],
            "folders": ["cmd"],
            "vendored": True,
        },
        paths.tool("go"): TOOL,
        paths.tool("delve"): {**TOOL, "min_go": "1.20", "max_go": "1.30"},
        paths.instance / "addons" / "dns.json": {
            "objects": [{"api_version": "v1", "kind": "Pod", "namespace": "y", "name": "x"}],
            "manifest": "d",
            "cluster": "c",
        },
        paths.instance / "containerd" / "pause.json": {"source": "d"},
        paths.instance / "ide.json": {"/nowhere": tree_state},
        paths.home / "host.json": {**host, "services": ["y"], "ports": {"1": ["nft", "x"]}},
        sealed.with_name(f".{MODULE}.json"): {"sha256": "d", "size": 3, "changed": 4},
        paths.run / "instance.lock": "",
        paths.run / "kubelet.lock": "",
        paths.mirror: {"go": "https://example.org"},
        paths.toolchain / "go1.24.0" / ".stepkube-origin": "a test",
        paths.cache / "downloads" / ".x.of": '"etag"\n5',
    }
    for path, value in contents.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1))
    sealed.write_bytes(b"abc")
    sealed.chmod(0o755)
    return {path.name: path for path in contents}


def _write(data: str | bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    return damage


def _cut_off(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _change_types(path: Path) -> None:
    if path.read_bytes()[:1] == b"{":
        path.write_text(json.dumps(_with_other_types(json.loads(path.read_text()))))


def _with_other_types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_other_types(item) for key, item in value.items()}
    return 5 if isinstance(value, str) else "x"


def _another_kind(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _fill_folder(path: Path) -> None:
    path.mkdir()
    (path / "kept").write_text("mine")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a text": _write('"x"'),
    "a list": _write("[]"),
    "null": _write("null"),
    "an empty object": _write("{}"),
    "a list of objects": _write('[{"a": {"b": [1, null, {}]}}]'),
    "a number": _write("1e999"),
    "a long number": _write("9" * 5000),
    "zero bytes": _write(""),
    "not UTF-8": _write(b"\xff\xfe\x00{"),
    "NUL bytes": _write(b"\0" * 512),
    "nested": _write("[" * 100_000),
    "cut off": _cut_off,
    "other types": _change_types,
    "a folder": _another_kind(_fill_folder),
    "a pipe": _another_kind(os.mkfifo),
    "a link to itself": _another_kind(lambda path: path.symlink_to(path)),
}
