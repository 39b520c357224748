"""Random edits of a tree: `doit build` and a bare `go build` agree on what each one changes.

STEPKUBE_TEST_EDITS=200 makes more edits, STEPKUBE_TEST_SEED=7 makes the same ones again.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.build import go_command, layout, sources, store
from tasks.build import tasks as build
from tasks.build.plan import plan_of
from tasks.core import doit_run
from tasks.kubernetes import tool_record
from tasks.kubernetes.tree import load_checkout
from tasks.settings.load import Settings
from tasks.system.git import Git
from tasks.system.run import run
from tests.support import miniature

MODULE = "kube-scheduler"
MAIN, EMBEDDED, SHARED = "pkg/scheduler/scheduler.go", "pkg/scheduler/data", "hack/shared.go.txt"
FILES = {
    "go.mod": "module k8s.io/kubernetes\n\ngo 1.21\n\nrequire example.org/third v1.0.0\n",
    "vendor/modules.txt": "# example.org/third v1.0.0\n## explicit; go 1.21\nexample.org/third\n",
    "vendor/example.org/third/third.go": "package third\n\nconst Name = 1\n",
    MAIN: (
        'package scheduler\n\nimport (\n\t"embed"\n\n\t"example.org/third"\n)\n\n'
        "//go:embed data\nvar files embed.FS\n\nfunc nop()\n\n// Name names it.\n"
        'func Name() string {\n\tnop()\n\tentries, _ := files.ReadDir("data")\n'
        '\tprintln("scheduler 1", 7, third.Name, len(entries), linked)\n\treturn "name"\n}\n'
    ),
    SHARED: "package scheduler\n\nconst linked = 1\n",
    "hack/other.go.txt": "package scheduler\n\nconst linked = 2000\n",
    "pkg/scheduler/nop.s": "TEXT \u00b7nop(SB),$0-0\n\tRET\n",
    "pkg/scheduler/tagged.go": "//go:build never\n\npackage scheduler\n\nvar Tagged = 1\n",
    "pkg/scheduler/OWNERS": "somebody\n",
    "staging/nested/readme": "a folder\n",
}
LINK = "pkg/scheduler/linked.go"
Edit = Callable[[Path, random.Random], object]


def append(path: str, text: str) -> Edit:
    def edit(tree: Path, rng: random.Random) -> None:
        if (tree / path).is_file():
            with (tree / path).open("a") as stream:
                stream.write(text.format(rng.randrange(10**6)))

    return edit


def swap(path: str, old: str, new: str) -> Edit:
    """Return an edit that replaces a text, or undoes that."""

    def edit(tree: Path, rng: random.Random) -> None:
        text = (tree / path).read_text()
        there, back = (old, new) if old in text else (new, old)
        (tree / path).write_text(text.replace(there, back))

    return edit


def present(path: str, text: str) -> Edit:
    """Return an edit that adds a file, or removes it."""

    def edit(tree: Path, rng: random.Random) -> None:
        file = tree / path
        if file.exists():
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.format(rng.randrange(10**6)))

    return edit


def secretly(edit: Edit, *hide: str) -> Edit:
    """Return an edit of a file of which git shows nothing."""

    def hidden(tree: Path, rng: random.Random) -> None:
        miniature.git(tree, "update-index", *hide, MAIN)
        edit(tree, rng)

    return hidden


def code(tree: Path, rng: random.Random) -> None:
    text = (tree / MAIN).read_text()
    (tree / MAIN).write_text(re.sub(r'", \d+, third', f'", {rng.randrange(10**9)}, third', text))


def same_size_and_time(tree: Path, rng: random.Random) -> None:
    file = tree / MAIN
    state, text = file.stat(), file.read_text()
    at = text.index('println("scheduler ') + len('println("scheduler ')
    file.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def retarget(tree: Path, rng: random.Random) -> None:
    target = rng.choice((SHARED, "hack/other.go.txt"))
    (tree / LINK).unlink()
    (tree / LINK).symlink_to(Path("../..", target))


def rename(tree: Path, rng: random.Random) -> None:
    names = sorted((tree / "pkg/scheduler").glob("nop*.s"))
    names[0].rename(tree / f"pkg/scheduler/nop{rng.randrange(100)}.s")


def nested_repository(tree: Path, rng: random.Random) -> None:
    folder = tree / "vendor/example.org/third"
    if not (folder / ".git").exists():
        miniature.git(folder, "init", "--quiet")
    (folder / "third.go").write_text(f"package third\n\nconst Name = {rng.randrange(1000)}\n")


def reveal(tree: Path) -> None:
    """Let git show all edits again; of two options in one call, it obeys one."""
    for option in ("--no-skip-worktree", "--no-assume-unchanged"):
        miniature.git(tree, "update-index", option, MAIN)


def other_branch(tree: Path, rng: random.Random) -> None:
    reveal(tree)
    Git(tree).run("checkout", "--force", rng.choice(("main", "other")), check=False)


EDITS: dict[str, Edit] = {
    "code": code,
    "a new line of comment": append(MAIN, "// {}\n"),
    "a comment": swap(MAIN, "// Name names it.", "// Name is a name"),
    "a directive": swap(MAIN, "// Name names it.", "//go:noinline"),
    "an import": swap(MAIN, '"embed"\n', '"embed"\n\t_ "os"\n'),
    "an error": swap(MAIN, "return", "retrun"),
    "same size and time": same_size_and_time,
    "touch": lambda tree, rng: (tree / MAIN).touch(),
    "skip-worktree": secretly(code, "--skip-worktree"),
    "assume-unchanged": secretly(code, "--assume-unchanged"),
    "an ignored file": present("pkg/scheduler/ignored.go", "package scheduler\n\nvar B = {}\n"),
    "an ignored init": present(
        "pkg/scheduler/ignored_init.go", "package scheduler\n\nfunc init() {{ println({}) }}\n"
    ),
    "an embedded file": append(f"{EMBEDDED}/name.txt", "{}\n"),
    "a new embedded file": present(f"{EMBEDDED}/deep/er/new.txt", "{}\n"),
    "a hidden file in an embedded folder": present(f"{EMBEDDED}/.hidden", "{}\n"),
    "assembly": append("pkg/scheduler/nop.s", "// {}\n"),
    "a header": present("pkg/scheduler/nop.h", "// {}\n"),
    "a build constraint": swap("pkg/scheduler/tagged.go", "build never", "build !never"),
    "a file left out": swap("pkg/scheduler/tagged.go", "Tagged = 1", "Tagged = 2"),
    "the target of a link": append(SHARED, "\nvar _ = {}\n"),
    "a link": retarget,
    "vendor": append("vendor/example.org/third/third.go", "\nvar V = {}\n"),
    "a nested repository": nested_repository,
    "a rename": rename,
    "a comment in go.mod": append("go.mod", "// {}\n"),
    "the language version": swap("go.mod", "go 1.21", "go 1.20"),
    "a test": present("pkg/scheduler/new_test.go", "package scheduler // {}\n"),
    "no source": append("pkg/scheduler/OWNERS", "{}\n"),
    "a branch": other_branch,
    "everything back": lambda tree, rng: Git(tree).run("checkout", ".", check=False),
}
NEW_BINARY = {"code", "same size and time", "skip-worktree", "assume-unchanged", "an ignored init"}
"""Edits that change the binary each time, so that no test can pass in which none does."""


@pytest.fixture
def tree(chosen: Settings) -> Path:
    """Return a tree with two branches in which go finds all kinds of files."""
    tree = Path(chosen.origin.path)
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / LINK).symlink_to(Path("../..", SHARED))
    with (tree / ".git/info/exclude").open("a") as stream:
        stream.write("ignored*.go\n")
    miniature.commit(tree, "files of all kinds")
    miniature.git(tree, "checkout", "--quiet", "-b", "other")
    code(tree, random.Random(0))
    miniature.commit(tree, "another branch")
    miniature.git(tree, "checkout", "--quiet", "main")
    return tree


def repair(tree: Path) -> None:
    """Make a tree that does not compile one that does; go and doit agree on both."""
    reveal(tree)
    git = Git(tree)
    git.run("reset", "--hard", check=False)
    git.run("clean", "-ffdx", "--", "pkg", check=False)


def bare(chosen: Settings, out: Path, binary: Path | None = None) -> str:
    """Return the build id after a bare `go build` with the same flags; empty if it fails.

    Go links only if `binary`, the result of `doit build`, is not what it would link.
    """
    if binary is not None:
        out.mkdir(exist_ok=True)
        shutil.copy(binary, out / MODULE)
    checkout = load_checkout(chosen.paths.lock)
    go, recipe = tool_record.load_tool(chosen, "go"), plan_of(chosen, MODULE).recipe
    tree_layout = layout.layout_of(chosen.paths, checkout)
    env = go_command.environment(tool_record.go_env(chosen, go), tree_layout, cgo=recipe.cgo)
    argv = recipe.arguments(2, out, out / "replaced", [tree_layout.target(MODULE)])
    done = run(go.bin, *argv, cwd=tree_layout.root, env=env, check=False)
    return "" if done.code else store.build_id(out / MODULE)


def doit(chosen: Settings) -> Path | None:
    """Return the path of the binary after `doit build`; None if it fails."""
    doit_run.begin()
    failed = sources.refresh(chosen, MODULE) or build.build(chosen, MODULE)
    assert failed is None or "fix:" in str(failed)
    return None if failed else build.load_binary(chosen, MODULE).path


def test_each_edit_changes_what_it_changes_for_go(
    chosen: Settings, tree: Path, tmp_path: Path
) -> None:
    seed = int(os.environ.get("STEPKUBE_TEST_SEED", random.randrange(10**6)))
    rng, names = random.Random(seed), list(EDITS)
    rng.shuffle(names)
    more = int(os.environ.get("STEPKUBE_TEST_EDITS", "0"))
    names += rng.choices(names, k=more)
    last, done = doit(chosen), [f"seed {seed}"]
    assert last is not None
    last_id = bare(chosen, tmp_path / "bare")
    assert store.build_id(last) == last_id != ""
    for name in names:
        done.append(name)
        EDITS[name](tree, rng)
        binary = doit(chosen)
        wanted = bare(chosen, tmp_path / "bare", binary)
        assert (store.build_id(binary) if binary else "") == wanted, done
        if binary is None:
            repair(tree)
            binary = doit(chosen)
            wanted = bare(chosen, tmp_path / "bare", binary)
        assert binary is not None and store.build_id(binary) == wanted, done
        assert (binary == last) == (wanted == last_id), done
        assert name not in NEW_BINARY or wanted != last_id, done
        last, last_id = binary, wanted
