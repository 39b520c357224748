import subprocess
from pathlib import Path

import pytest

from tasks.cluster import summary
from tasks.settings import load
from tasks.system import files


def test_a_run_that_changed_nothing_prints_one_line(tmp_path: Path) -> None:
    chosen = load.load({"STEPKUBE_HOME": str(tmp_path)})
    lock = {"version": "v1.30.0", "commit": "", "origin": "", "requested": "", "tree": "/"}
    files.write_json(chosen.paths.lock, lock)
    (line,) = summary.unchanged(chosen, ["etcd"])
    assert "v1.30.0" in line and "instance default" in line


@pytest.mark.parametrize("name", ["plain", "a blank", "it's", "$(touch ran)", "`touch ran`;x", "ä"])
def test_the_printed_exports_can_be_copied_into_a_shell(tmp_path: Path, name: str) -> None:
    chosen = load.load({"STEPKUBE_HOME": str(tmp_path / name)})
    lock = {"version": "v1.30.0", "commit": "", "origin": "", "requested": "", "tree": "/"}
    files.write_json(chosen.paths.lock, lock)
    exports = [line for line in summary.lines(chosen, []) if line.startswith("  export ")]
    script = "\n".join([*exports, 'printf "%s\\n" "$KUBECONFIG" "$PATH"'])
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    kubeconfig, path = done.stdout.splitlines()
    assert kubeconfig == str(chosen.paths.kubeconfig("admin"))
    assert path.startswith(f"{chosen.paths.instance / 'bin'}:")
    assert not (tmp_path / "ran").exists()
