"""The copy of a tree in which make generates code."""

import os
from pathlib import Path

from tasks.build import generated
from tasks.settings import load
from tasks.system import files
from tests.support import miniature

MAKEFILE = f"""generated_files:
\ttest ! -e disk.img && test ! -e pipe && test -e cmd/kube-apiserver/main.go
\tmkdir -p {generated.OPENAPI.parent} && echo package openapi >{generated.OPENAPI}
"""


def test_files_that_are_no_source_are_not_copied(tmp_path: Path) -> None:
    tree = miniature.make(tmp_path / "trée with blanks")
    files.write(tree / generated.MAKEFILES[0], "")
    files.write(tree / "Makefile", MAKEFILE)
    with (tree / "disk.img").open("wb") as stream:
        stream.truncate(65 << 20)
    os.mkfifo(tree / "pipe")
    made = load.load({"STEPKUBE_HOME": str(tmp_path / "home")}, {}, Path(os.devnull))
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": str(tree), "version": "v1.20.2"})
    go = {"version": "1.15.15", "bin": "/usr/bin/go", "root": "/usr", "from": ""}
    files.write_json(made.paths.tool("go"), go)
    done = generated.generate(made)
    assert done is None, done
    assert (tree / generated.OPENAPI).read_text() == "package openapi\n"
