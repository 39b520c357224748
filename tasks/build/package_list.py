"""Packages of a module and their files, as `go list` names them; kept until they can differ."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tasks.build import file_table, go_command, layout
from tasks.build.file_table import FileTable
from tasks.build.go_command import go_minor
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes import facts, tool_record
from tasks.kubernetes.tree import Checkout
from tasks.settings.load import Settings
from tasks.system import files, state
from tasks.system.run import run

GO_WITH_LIST_DEPS = (1, 11)
"""First Go that has `go list -deps`."""
GO_WITH_EMBED = (1, 16)
"""First Go that has go:embed."""
_FILES = (
    *("GoFiles", "CgoFiles", "CFiles", "CXXFiles", "MFiles", "HFiles", "FFiles", "SFiles"),
    *("SwigFiles", "SwigCXXFiles", "SysoFiles"),
)
"""Fields of `go list` with the files that go compiles."""
_GO_PROGRAMS = (
    "VERSION",
    "bin/go",
    *(f"pkg/tool/linux_*/{name}" for name in ("asm", "cgo", "compile", "link")),
)


@dataclass(frozen=True)
class PackageList:
    """Packages of a module. Paths have no links; those of the tree are relative to it."""

    key: str
    """Differs for other settings of `go list`."""
    packages: tuple[str, ...]
    """Import paths, including those of the standard library."""
    files: tuple[str, ...]
    """Files that a build of the module reads."""
    ignored: tuple[str, ...]
    """Files that a build would read if their head (build constraint) changed."""
    folders: tuple[str, ...]
    """Folders of the packages and above them; see FileTable.folders."""
    vendored: bool
    structure: str = ""
    """Digest of the state that `go list` read; empty if it changed meanwhile."""

    def is_current(self, root: str, table: FileTable) -> bool:
        """Return whether `go list` would return the same list."""
        return bool(self.structure) and self.structure == self.structure_in(root, table)

    def watched(self, root: str) -> tuple[list[str], list[str]]:
        """Return the paths of all files and of all folders."""
        join = os.path.join
        named = (*self.files, *self.ignored)
        return [join(root, path) for path in named], [join(root, path) for path in self.folders]

    def structure_in(self, root: str, table: FileTable) -> str:
        """Return the digest of what `go list` reads; its files become known to the table."""
        watched, folders = self.watched(root)
        table.add(watched, folders)
        heads = [table.files[path][2] for path in watched]
        return files.digest(*heads, *(table.folders[path][1] for path in folders))


def key_of(settings: Settings, checkout: Checkout, module: str) -> str:
    """Return a key of the settings on which the list of a module's packages depends."""
    go = tool_record.load_tool(settings, "go")
    minor_facts = facts.minor(checkout.minor)
    parts = (go.version, str(go.bin), str(go.root), *minor_facts.build_tags)
    return files.digest(
        module, str(go_command.uses_cgo(module, minor_facts, settings.build.cgo)), *parts
    )


def kept(path: Path) -> PackageList | None:
    """Return the list in a file; None if there is none."""
    return state.load(path, PackageList)


def read(
    settings: Settings, checkout: Checkout, modules: Sequence[str], table: FileTable
) -> dict[str, PackageList]:
    """Return the packages of modules that are built with or without C alike, from one `go list`.

    Raises Failure if a module does not exist or `go list` fails.
    """
    began = time.time_ns()
    tree_layout = layout.layout_of(settings.paths, checkout)
    listing = _go_list(settings, checkout, tree_layout, modules)
    table.look()  # an edit that was made and undone meanwhile shows in the time of the file
    go_root = os.path.realpath(str(tool_record.load_tool(settings, "go").root))
    root = os.path.realpath(checkout.tree)
    found: dict[str, PackageList] = {}
    lines = [_Package.parse(line) for line in listing.splitlines()]
    by_name = {package.name: package for package in lines}
    for module in modules:
        main = by_name[f"{layout.PACKAGE}/cmd/{module}"]
        closure = [by_name[name] for name in (*main.deps, main.name) if name in by_name]
        made = _package_list(closure, root, go_root)
        made = replace(made, key=key_of(settings, checkout, module), vendored=tree_layout.vendored)
        structure = made.structure_in(root, table)
        if not table.has_changed_since(began, *made.watched(root)):
            made = replace(made, structure=structure)
        found[module] = made
    return found


def save(path: Path, made: PackageList) -> None:
    """Keep a list for later runs."""
    files.write_json(path, asdict(made))


@dataclass(frozen=True)
class _Package:
    """One line of `go list`."""

    name: str
    folder: str
    files: tuple[str, ...]
    patterns: tuple[str, ...]
    go_mod: str
    deps: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> _Package:
        name, folder, *rest = line.split("\t")
        of = {kind: tuple(part[1:] for part in rest if part[0] == kind) for kind in "FXMR"}
        return cls(name, folder, of["F"], of["X"], "".join(of["M"]), of["R"])


def _template(go: tuple[int, int]) -> str:
    """Return the template of `go list` for `_Package.parse`."""
    fields = [*_FILES, *(["EmbedFiles"] if go >= GO_WITH_EMBED else [])]
    text = "{{.ImportPath}}\t{{.Dir}}" + "".join(
        f"{{{{range .{f}}}}}\tF{{{{.}}}}{{{{end}}}}" for f in fields
    )
    if go >= GO_WITH_EMBED:
        text += "{{range .EmbedPatterns}}\tX{{.}}{{end}}"
    if go >= GO_WITH_LIST_DEPS:
        text += "{{with .Module}}{{with .GoMod}}\tM{{.}}{{end}}{{end}}"
    return text + '{{if eq .Name "main"}}{{range .Deps}}\tR{{.}}{{end}}{{end}}'


def _go_list(
    settings: Settings, checkout: Checkout, tree_layout: layout.Layout, modules: Sequence[str]
) -> str:
    tree = checkout.tree
    for module in modules:
        if not (tree / "cmd" / module).is_dir():
            hint = "use a Kubernetes version that has this module"
            raise Failure(f"{tree} has no cmd/{module}", hint)
    go = tool_record.load_tool(settings, "go")
    minor_facts = facts.minor(checkout.minor)
    cgo = go_command.uses_cgo(modules[0], minor_facts, settings.build.cgo)
    env = go_command.environment(tool_record.go_env(settings, go), tree_layout, cgo=cgo)
    template = _template(go_minor(go.version))
    tags = go_command.tags(minor_facts.build_tags, go.version)
    targets = [tree_layout.target(module) for module in modules]
    if not tree_layout.vendored:
        cache, names = env["GOMODCACHE"], ", ".join(modules)
        console.say(f"  {names}: downloads Go modules that are missing in {cache}")

    def go_list(*arguments: str) -> str:
        hint = f"check for missing files in {tree}"
        if not tree_layout.vendored:
            hint += "; its vendor/ is incomplete: set mirror.goproxy to a proxy that answers"
        argv = (str(go.bin), "list", *tags, *arguments)
        result = run(*argv, cwd=tree_layout.root, env=env, check=False)
        if result.code:
            message = f"{shlex.join(argv)} exited with {result.code}\n{result.tail()}"
            raise Failure(message, _module_hint(tree, result.stderr) or hint)
        return result.stdout

    if go_minor(go.version) >= GO_WITH_LIST_DEPS:
        return go_list("-deps", "-f", template, *targets)
    deps = go_list("-f", "{{range .Deps}}{{.}} {{end}}", *targets).split()
    return go_list("-f", template, *dict.fromkeys(deps), *targets)


def _module_hint(tree: Path, output: str) -> str:
    """Return the fix if go.mod was edited alone; empty if go names another problem."""
    if re.search(r"go\.(mod|work) requires go >=|invalid go version|unknown directive", output):
        return f"correct the go line of {tree}/go.mod, or set {tree}/.go-version to a newer Go"
    if re.search(r"inconsistent vendoring|updates to go\.(mod|work|sum)|missing go\.sum", output):
        return (
            f"go.mod was edited without vendor/: in {shlex.quote(str(tree))}, run"
            " hack/update-vendor.sh, or undo the edit, run: git checkout go.mod"
        )
    return ""


def _package_list(packages: Sequence[_Package], root: str, go_root: str) -> PackageList:
    """Return the list of a module from the packages it is made of."""
    paths, ignored, folders = set[str](), set[str](), set[str]()
    for package in packages:
        if not package.folder:
            continue
        folder = os.path.realpath(package.folder)
        paths |= {f"{folder}/{name}" for name in package.files}
        ignored |= {f"{folder}/{name}" for name in file_table.source_names(folder)}
        # the path with links too: a link can be changed to lead to another folder
        folders |= {folder, package.folder, *_parents(folder, root), *_embedded(folder, package)}
        if package.go_mod:
            paths.add(package.go_mod)
    paths |= {f"{root}/{name}" for name in file_table.MODULE_FILES}
    paths |= {str(path) for name in _GO_PROGRAMS for path in Path(go_root).glob(name)}

    def named(found: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(path.removeprefix(f"{root}/") for path in found))

    names = tuple(package.name for package in packages)
    return PackageList("", names, named(paths), named(ignored - paths), named(folders), True)


def _parents(folder: str, root: str) -> Iterable[str]:
    """Yield the folders between a folder of the tree and the tree, including the tree."""
    while folder.startswith(f"{root}/"):
        folder = os.path.dirname(folder)  # noqa: PTH120
        yield folder


def _embedded(folder: str, package: _Package) -> Iterable[str]:
    """Yield the folders whose new files a pattern of go:embed can match; they end with a slash."""
    for pattern in package.patterns:
        path = pattern.removeprefix("all:")
        fixed = re.split(r"[*?\[\\]", path)[0]
        start = Path(folder, fixed)
        if fixed != path or not start.is_dir():
            start = Path(folder, fixed.rpartition("/")[0])
        for current, _, _ in os.walk(start):
            yield f"{current}/"
