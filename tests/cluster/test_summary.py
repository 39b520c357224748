"""The end of `doit up`: lines that a user copies into a shell."""

import shlex
from pathlib import Path

from tasks.cluster import summary
from tasks.settings import load
from tasks.system import files


def test_a_path_with_blanks_is_quoted(tmp_path: Path) -> None:
    made = load.load({"STEPKUBE_HOME": str(tmp_path / "it's mine"), "START_MODE": "nokubelet"})
    lock = dict.fromkeys(("commit", "origin", "requested"), "")
    files.write_json(made.paths.lock, {**lock, "tree": "/", "version": "v1.20.2"})
    exports = [shlex.split(line) for line in summary.lines(made, []) if "export " in line]
    assert ["export", f"KUBECONFIG={made.paths.kubeconfig('admin')}"] in exports
    assert ["export", f"PATH={made.paths.instance / 'bin'}:$PATH"] in exports
