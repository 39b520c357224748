"""Small git trees, each laid out and built like the Kubernetes of one era, with tiny mains.

A main takes the flags that templates/facts.yaml knows of its minor, refuses others as pflag does,
and answers on the port and scheme of its era with what was stamped into it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tasks.kubernetes import facts
from tests.support import miniature

HERE = Path(__file__).resolve().parent.parent
MODULES = ("kube-apiserver", "kube-scheduler")
REFUSED = "vmodule"
"""A flag that the facts know and no main takes."""
LIMIT = "k8s.io/apiserver/pkg/endpoints/handlers"
THIRD = "example.org/third"


@dataclass(frozen=True)
class Era:
    """A release, how it is built, where its version is kept, and what its files ask for.

    `says_go` is the file that names the Go.
    """

    version: str
    mode: str
    stamped: str
    go: str
    says_go: tuple[str, str]
    etcd: str

    @property
    def minor(self) -> facts.Minor:
        return facts.parse(self.version)


def _cross(text: str) -> tuple[str, str]:
    return "build/build-image/cross/VERSION", text


def _dependencies(version: str) -> tuple[str, str]:
    text = f'  - name: "golang: upstream version"\n    version: {version}\n'
    return "build/dependencies.yaml", text


OWN, BASE = "k8s.io/kubernetes/pkg/version", "k8s.io/component-base/version"
ERAS = (
    Era("v1.10.3", "gopath", OWN, "1.9.3", _cross("v1.9.3-2\n"), "3.1.12"),
    Era("v1.14.1", "gopath", OWN, "1.12.1", _cross("v1.12.1-2\n"), "3.3.10"),
    Era("v1.16.2", "vendor", BASE, "1.12.9", _cross("v1.12.9-1\n"), "3.3.15"),
    Era(
        "v1.23.1",
        "vendor",
        BASE,
        "1.17.3",
        _cross("v1.23.0-go1.17.3-bullseye.0\n"),
        "3.5.1",
    ),
    Era("v1.28.3", "vendor", BASE, "1.20.10", _dependencies("1.20.10"), "3.5.9"),
    Era("v1.30.0", "workspace", BASE, "1.22.2", (".go-version", "1.22.2\n"), "3.5.12"),
    Era("v1.35.0", "workspace", BASE, "1.25.5", (".go-version", "1.25.5\n"), "3.6.6"),
)


def make(folder: Path, era: Era, *, unique: str = "") -> Path:
    """Write the era's tree, commit it and tag the commit; `unique` makes its binaries its own."""
    for name, text in _files(era, unique).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if era.mode != "workspace":
        for module in _staging(era):
            link = folder / "vendor/k8s.io" / module
            link.parent.mkdir(parents=True, exist_ok=True)
            target = folder / "staging/src/k8s.io" / module
            link.symlink_to(os.path.relpath(target, link.parent))
    miniature.git(folder, "init", "--quiet", "--initial-branch=main")
    miniature.commit(folder, era.version)
    miniature.git(folder, "tag", era.version)
    return folder


def _staging(era: Era) -> tuple[str, ...]:
    return ("apiserver", "component-base") if era.stamped == BASE else ("apiserver",)


def _files(era: Era, unique: str) -> dict[str, str]:
    minor = era.minor
    log = f"CHANGELOG-1.{minor[1]}.md"
    found = {
        log if minor < (1, 17) else f"CHANGELOG/{log}": f"# {era.version}\n",
        "hack/lib/etcd.sh": f"ETCD_VERSION=${{ETCD_VERSION:-{era.etcd}}}\n",
        "hack/lib/version.sh": (HERE / "mini/version.sh.txt").read_text(),
        "hack/lib/.gitattributes": "version.sh export-subst\n",
        "hack/lib/golang.sh": "  minimum_go_version=go1.2.3\n",
        era.says_go[0]: era.says_go[1],
        _place(era.stamped): (HERE / "mini/version.go.txt").read_text(),
        f"staging/src/{LIMIT}/rest.go": _rest(minor),
        f"vendor/{THIRD}/third.go": f'package third\n\nconst Name = "third {unique}"\n',
        "pkg/mini/mini.go": (HERE / "mini/mini.go.txt")
        .read_text()
        .replace("VERSION", era.stamped)
        .replace("LIMIT", LIMIT)
        .replace("THIRD", THIRD),
    }
    for module in MODULES:
        known = [
            f'"{flag}"'
            for flag in facts.data()["flags"][module]
            if facts.flag_known(module, flag, minor) and flag != REFUSED
        ]
        found[f"cmd/{module}/main.go"] = (
            'package main\n\nimport "k8s.io/kubernetes/pkg/mini"\n\n'
            f'func main() {{\n\tmini.Run("{module}", {", ".join(known)})\n}}\n'
        )
    return found | _modules(era)


def _rest(minor: facts.Minor) -> str:
    """Return the file with the limit of a write, as upstream has it in this minor."""
    seconds = 30 if minor < (1, 12) else 34
    limit = (
        f"func parseTimeout(str string) time.Duration {{\n\treturn {seconds} * time.Second\n}}\n"
        if minor < (1, 21)
        else f"const (\n\trequestTimeoutUpperBound = {seconds} * time.Second\n)\n"
    )
    value = 'parseTimeout("")' if minor < (1, 21) else "time.Duration(requestTimeoutUpperBound)"
    return (
        'package handlers\n\nimport (\n\t"runtime"\n\t"strconv"\n\t"time"\n)\n\n'
        f"{limit}\n"
        "// Limit is how long a write may take.\n"
        f"func Limit() string {{ return {value}.String() }}\n\n"
        "// Where is the place of its own code.\n"
        "func Where() string {\n"
        "\t_, file, line, _ := runtime.Caller(0) // this line\n"
        '\treturn file + ":" + strconv.Itoa(line)\n}\n'
    )


def _place(package: str) -> str:
    own = "k8s.io/kubernetes/"
    inside = package.removeprefix(own)
    return f"{inside if inside != package else f'staging/src/{package}'}/base.go"


def _modules(era: Era) -> dict[str, str]:
    """Return go.mod, go.work and vendor/modules.txt as upstream keeps them."""
    if era.mode == "gopath":
        return {}
    line = ".".join(era.go.split(".")[:2])
    staging = {f"k8s.io/{name}": f"./staging/src/k8s.io/{name}" for name in _staging(era)}
    packages = {"k8s.io/apiserver": LIMIT, "k8s.io/component-base": BASE}
    required = "".join(f"\t{name} v0.0.0\n" for name in staging)
    head = f"module k8s.io/kubernetes\n\ngo {line}\n\nrequire (\n\t{THIRD} v1.0.0\n{required})\n"
    third = f"# {THIRD} v1.0.0\n## explicit; go {line}\n{THIRD}\n"
    found = {
        f"{path[2:]}/go.mod": f"module {name}\n\ngo {line}\n" for name, path in staging.items()
    }
    workspace = era.mode == "workspace"
    replaced = "".join(f"\t{name} => {path}\n" for name, path in staging.items())
    explicit = "".join(
        f"# {name} v0.0.0 => {path}\n## explicit; go {line}\n"
        + ("" if workspace else f"{packages[name]}\n")
        for name, path in staging.items()
    )
    ends = "".join(f"# {name} => {path}\n" for name, path in staging.items())
    found |= {
        "go.mod": f"{head}\nreplace (\n{replaced})\n",
        "vendor/modules.txt": f"{third}{explicit}{ends}",
    }
    if workspace:
        used = "".join(f"\t{path}\n" for path in staging.values())
        found["go.work"] = f"go {line}\n\nuse (\n\t.\n{used})\n"
        found["vendor/modules.txt"] = f"## workspace\n{third}{explicit}"
    return found
