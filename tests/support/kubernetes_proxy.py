"""A Go module proxy that has one release of Kubernetes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tasks.gomod import sumdb
from tasks.settings import load
from tasks.system import files
from tests.support.checksums import Database, record

KUBERNETES, API = "k8s.io/kubernetes", "k8s.io/api"
HASH = "0123456789abcdef0123456789abcdef01234567"
INFO = {"Version": "v1.30.2", "Time": "2024-06-11T20:19:28Z"}
SCRIPT = """if [[ '$Format:%%$' == "%" ]]; then
  KUBE_GIT_COMMIT='$Format:%H$'
  if [[ '$Format:%D$' =~ tag:\\ (v[^ ,]+) ]]; then
"""
TREE = {
    "cmd/kube-apiserver/main.go": "package main\n",
    "go.mod": "module k8s.io/kubernetes\n\nreplace (\n"
    "\tk8s.io/api => ./staging/src/k8s.io/api\n\tother.io/x => ./third_party/x\n)\n",
    "hack/lib/version.sh": SCRIPT,
    "hack/run.sh": "#!/bin/sh\n",
    "staging/README.md": "# staged\n",
    "vendor/modules.txt": "# nothing of it is there\n",
}


class Proxy:
    """A module proxy that has one release, in a folder."""

    def __init__(
        self, folder: Path, version: str = "v1.30.2", tree: dict[str, str] = TREE, **info: object
    ) -> None:
        self.folder, self.version = folder, version
        self.staged = version.replace("v1.", "v0.", 1)
        records = [
            record(KUBERNETES, version, self.zip(KUBERNETES, version, tree)),
            record(API, self.staged, self.zip(API, self.staged, {"api.go": "package api\n"})),
        ]
        self.database = Database(records)
        self.database.write(folder)
        told = {**INFO, "Version": version, **info}
        files.write(folder / KUBERNETES / f"@v/{version}.info", json.dumps(told))
        files.write(folder / KUBERNETES / "@v/list", f"v1.9.0\n{version}\nv1.31.0-rc.1\n")

    def zip(self, module: str, version: str, content: dict[str, str]) -> str:
        path = self.folder / module / "@v" / f"{version}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(f"{module}@{version}/{name}", text)
        return sumdb.hash_zip(path).removeprefix("h1:")

    def settings(self, tmp_path: Path, version: str = "auto", **environ: str) -> load.Settings:
        return load.load(
            {
                "STEPKUBE_HOME": str(tmp_path / "home"),
                "STEPKUBE_VERSION": version,
                "STEPKUBE_ORIGIN_APT": "",
                "STEPKUBE_ORIGIN_GIT": "",
                "GOPROXY": self.folder.as_uri(),
                "GOSUMDB": f"{self.database.key} {self.folder.as_uri()}/sumdb/{self.database.name}",
                **environ,
            }
        )
