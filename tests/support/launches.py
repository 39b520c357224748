"""Debug configurations written to a small tree, and removed again."""

from pathlib import Path
from typing import Any

from tasks.editors import jsonc_parser, naming
from tasks.editors import tasks as editors
from tasks.settings import load
from tasks.settings.load import Settings
from tasks.system import files
from tests.support import miniature

PORTS = {
    "kube-apiserver": 39999,
    "kube-controller-manager": 39997,
    "kube-scheduler": 39995,
    "kubelet": 39993,
    "kube-proxy": 39991,
}


NAMES = [f"stepkube: debug {name}" for name in PORTS]


CLOUD = "cloud-controller-manager"  # written only where it runs


NAMING = naming.Naming()


TOOL_FILES = [name for name in NAMING.tool_files if CLOUD not in name]


COMMENTED = """\
// mine, all mine
{
  /* VS Code's */ "version": "0.2.0",
  "configurations": [
    // the one I like
    { "name": "Launch", "type": "go", "url": "http://x//y", "env": { "A": "/* no */" }, },  // why
    {
      "name" : "other",   // odd blanks
      "type":"node"
    }   // the last one
  ],
  "inputs": [],
}
"""


def with_checkout(tmp_path: Path, tree: Path, **environ: str) -> Settings:
    """Return settings of an instance whose checkout is the tree."""
    settings = load.load({"STEPKUBE_HOME": str(tmp_path / "home"), **environ})
    record = {"version": "v1.28.3", "commit": "0" * 40, "origin": "a test", "requested": "auto"}
    files.write_json(settings.paths.lock, {**record, "tree": str(tree)})
    return settings


def write(chosen: Settings, host: str = "127.0.0.1", local: str = "", editor: str = "all") -> str:
    """Run the task and return the message of its failure, empty without one."""
    failed = editors.write(chosen, host, local, editor)
    return failed.message if failed else ""


def clean(chosen: Settings) -> str:
    failed = editors.clean(chosen)
    return failed.message if failed else ""


def state(tree: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and mtime of all files and folders in a tree, except git's."""
    kept = [tree / ".git/info", *(place for place in tree.iterdir() if place.name != ".git")]
    places = [place for top in kept for place in (top, *top.rglob("*"))]
    return {
        str(place): (place.read_bytes() if place.is_file() else b"", place.stat().st_mtime_ns)
        for place in places
    }


def contents(tree: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in state(tree).items()}


def status(tree: Path) -> str:
    return miniature.git(tree, "status", "--porcelain", "--untracked-files=all")


def launch(tree: Path) -> Any:
    return jsonc_parser.parse((tree / naming.LAUNCH).read_bytes().decode()).value


def user_writes(tree: Path, text: str) -> Path:
    path = tree / naming.LAUNCH
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path
