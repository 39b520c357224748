"""CNI plugins from a release archive of known digest."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.settings import load as settings
from tasks.settings.load import Settings
from tasks.system.resources import architecture
from tasks.toolchain import cni
from tasks.toolchain import tasks as toolchain

ARCHIVE = f"v1.5.1/cni-plugins-linux-{architecture()}-v1.5.1.tgz"


def packed(*names: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return data.getvalue()


@pytest.fixture(name="base")
def served(tmp_path: Path) -> Iterator[str]:
    """Serve tmp_path/served on loopback."""
    (tmp_path / "served/v1.5.1").mkdir(parents=True)
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def load(home: Path, base: str, digest: str) -> Settings:
    variable = f"CNI_PLUGINS_{architecture().upper()}_SHA256SUM"
    return settings.load(
        {
            "STEPKUBE_HOME": str(home),
            "STEPKUBE_MIRROR_CNI": base,
            variable: digest,
            "CNI_PLUGINS_VERSION": "v1.5.1",
        },
        {},
        Path(os.devnull),
    )


def test_an_archive_with_the_right_digest_is_used(tmp_path: Path, base: str) -> None:
    data = packed("./", "./README", *(f"./{name}" for name in cni.PLUGINS), "../../evil", "./vlan")
    (tmp_path / "served" / ARCHIVE).write_bytes(data)
    home = tmp_path / "home"
    chosen = load(home, base, hashlib.sha256(data).hexdigest().upper())
    assert toolchain.make_cni(chosen) is None
    tool = toolchain.load_tool(chosen, "cni")
    assert (tool.version, tool.origin) == ("1.5.1", f"{base}/{ARCHIVE}")
    assert {path.name for path in tool.bin.glob("[!.]*")} == {*cni.PLUGINS, "origin"}
    assert all(os.access(tool.bin / name, os.X_OK) for name in cni.PLUGINS)
    assert not list(tmp_path.rglob("evil"))
    (tmp_path / "served" / ARCHIVE).unlink()
    assert cni.make(chosen) == tool, "the second time no archive is needed"


@pytest.mark.parametrize(
    ("names", "right", "expected"),
    [(cni.PLUGINS, False, "not 0{64}"), (["./bridge"], True, "has no host-local")],
)
def test_a_wrong_archive_leaves_nothing(
    tmp_path: Path, base: str, names: list[str], right: bool, expected: str
) -> None:
    data = packed(*names)
    (tmp_path / "served" / ARCHIVE).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest() if right else "0" * 64
    with pytest.raises(Failure, match=expected):
        cni.make(load(tmp_path / "home", base, digest))
    assert not [path for path in (tmp_path / "home").rglob("*") if path.name in cni.PLUGINS]


def test_an_invalid_release_names_its_variable(tmp_path: Path) -> None:
    chosen = settings.load({"CNI_PLUGINS_VERSION": "newest"}, {}, Path(os.devnull))
    with pytest.raises(Failure, match=r"CNI_PLUGINS_VERSION.*is not a release"):
        cni.make(chosen)
