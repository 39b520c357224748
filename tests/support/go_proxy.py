"""A module proxy that has Go, and a machine without any Go."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tasks.gomod import sumdb
from tasks.settings import load
from tasks.system import files, resources
from tasks.toolchain import goroot
from tests.support.checksums import Database, record

ARCH = resources.architecture()


def write(folder: Path, contents: dict[str, str]) -> Path:
    for name, text in contents.items():
        files.write(folder / name, text)
    return folder


# A stand-in for Go: it knows its version and "builds" by writing what it was asked for.
PROGRAM = """#!/bin/sh
case "$1" in
version) echo "go version go{version} linux/{arch}";;
env) echo "{root}";;
build)
  while [ "$1" != -o ]; do shift; done
  mkdir -p "$(dirname "$2")"; {{ env; cat go.mod; echo "$3"; }} > "$2"; chmod +x "$2"; echo "$3";;
esac
"""


def program(version: str, root: Path | str = "") -> str:
    return PROGRAM.format(version=version, arch=ARCH, root=root)


class Proxy:
    """A Go module proxy with its checksum database, as a folder."""

    def __init__(self, folder: Path, *versions: str) -> None:
        self.folder = folder
        self.known = {version: f"v0.0.1-go{version}.linux-{ARCH}" for version in versions}
        records = [record(goroot.MODULE, name, self.zip(v)) for v, name in self.known.items()]
        self.database = Database(records or [record("example.org/none")])
        self.database.write(folder)
        self.list(goroot.MODULE, self.known.values())

    def path(self, version: str) -> Path:
        return self.folder / goroot.MODULE / "@v" / f"{self.known[version]}.zip"

    def list(self, module: str, versions: Iterable[str]) -> None:
        files.write(self.folder / module / "@v/list", "".join(f"{v}\n" for v in versions))

    def release(self, module: str, *versions: str, go: str = "1.24") -> None:
        self.list(module, [f"v{version}" for version in versions])
        for version in versions:
            files.write(self.folder / module / "@v" / f"v{version}.mod", f"module x\n\ngo {go}\n")

    def zip(self, version: str, **more: str) -> str:
        """Write a toolchain zip and return its hash without h1:."""
        path, prefix = self.path(version), f"{goroot.MODULE}@{self.known[version]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "bin/go": program(version),
            "VERSION": f"go{version}\n",
            "pkg/tool/linux_amd64/compile": "x",
            "src/_go.mod": "module std\n",
            "src/cmd/_go.mod": "module cmd\n",
            "src/fmt/print.go": "package fmt\n",
            "lib/wasm/go_js_wasm_exec": "x",
            "lib/go_ios_arm64_exec": "x",
            **more,
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name if name.startswith("/") else f"{prefix}/{name}", text)
        return sumdb.hash_zip(path).removeprefix("h1:")

    def trust(self, database: Database) -> str:
        """Return the GOSUMDB value of a database that answers in this folder."""
        return f"{database.key} {self.folder.as_uri()}/sumdb/{database.name}"

    def settings(self, tmp_path: Path, **environ: str) -> load.Settings:
        return load.load(
            {
                "STEPKUBE_HOME": str(tmp_path / "home"),
                "GOPROXY": self.folder.as_uri(),
                "GOSUMDB": self.trust(self.database),
                "STEPKUBE_MIRROR_GO": "",
                **environ,
            },
            {"mirror.apt_archive": ""},
            tmp_path / "no",
        )


def hide(monkeypatch: pytest.MonkeyPatch, **programs: Path) -> None:
    """Let only these be the etcd and the Delve of the machine."""
    real = shutil.which

    def which(name: str, *args: Any, **kwargs: Any) -> str | None:
        if name in ("etcd", "dlv"):
            return str(programs[name]) if name in programs else None
        return real(name, *args, **kwargs)

    monkeypatch.setattr(shutil, "which", which)
