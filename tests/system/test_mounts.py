"""Mount points are found in the kernel's table and unmounted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tasks.settings.load import ROOT
from tasks.system import mounts
from tasks.system.run import run

LINE = "{} 29 0:25 / {} rw,nosuid shared:2 - tmpfs tmpfs rw\n"
SCRIPT = """
import sys
from pathlib import Path
from tasks.system import mounts
from tasks.system.run import run
folder = Path(sys.argv[1])
for name in ("a b", "a b/inner", "busy"):
    (folder / name).mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", folder / name)
with (folder / "busy" / "file").open("w"):
    print(len(mounts.mount_points(folder)), mounts.unmount(folder), mounts.mount_points(folder))
print(mounts.unmount(folder), mounts.mount_points(folder))
"""


def test_the_last_one_comes_first(tmp_path: Path) -> None:
    points = ("/", "/a", "/a/pods/1", r"/a/pods/with\040blank\134", "/a-not", "/a/pods/1/below")
    table = tmp_path / "mountinfo"
    table.write_text("".join(LINE.format(at, point) for at, point in enumerate(points)))
    assert mounts.mount_points(Path("/a"), table) == [
        Path("/a/pods/1/below"),
        Path("/a/pods/with blank\\"),
        Path("/a/pods/1"),
    ]
    assert mounts.mount_points(Path("/a/pods/1"), table) == [Path("/a/pods/1/below")]
    assert mounts.mount_points(Path("/b"), table) == []
    (tmp_path / "link").symlink_to("/a/pods")
    assert mounts.mount_points(tmp_path / "link" / "1", table) == [Path("/a/pods/1/below")]


def test_real_mounts_are_unmounted_and_a_busy_one_is_reported(tmp_path: Path) -> None:
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    first, last = run(
        *unshare, sys.executable, "-c", SCRIPT, tmp_path, cwd=ROOT, timeout=60
    ).stdout.splitlines()
    busy = tmp_path / "busy"
    assert first.startswith("3 ['umount: ") and "target is busy" in first
    assert first.endswith(f"[{busy!r}]")
    assert last == "[] []"
    assert mounts.mount_points(tmp_path) == [], "the mounts were in another namespace"
