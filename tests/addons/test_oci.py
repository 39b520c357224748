import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tasks.addons import oci

NAME = "registry.example.org/team/web:1.2"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    made = tmp_path / "program"
    made.write_bytes(b"\x7fELF of a kind")
    return made


def written(tmp_path: Path, program: Path, *, compressed: bool = False) -> Path:
    archive = tmp_path / "image.tar"
    links = {"/bin/sh": "program"}
    oci.write(
        archive,
        oci.Image(
            NAME,
            {"/usr/bin/program": program},
            ["/usr/bin/program"],
            links,
            command=["serve"],
            user="7:7",
            compressed=compressed,
        ),
    )
    return archive


def members(archive: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    return found


def blob(found: dict[str, bytes], described: dict[str, Any]) -> bytes:
    """Return the blob of a descriptor; its size and digest must match."""
    data = found[f"blobs/{described['digest'].replace(':', '/')}"]
    assert described["size"] == len(data)
    assert described["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    return data


@pytest.mark.parametrize("compressed", [False, True])
def test_every_descriptor_leads_to_its_blob(
    tmp_path: Path, program: Path, compressed: bool
) -> None:
    found = members(written(tmp_path, program, compressed=compressed))
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": NAME,
        "org.opencontainers.image.ref.name": "1.2",
    }
    manifest = json.loads(blob(found, entry))
    configuration = json.loads(blob(found, manifest["config"]))
    (described,) = manifest["layers"]
    layer = blob(found, described)
    assert described["mediaType"].endswith("tar+gzip" if compressed else ".tar")
    plain = gzip.decompress(layer) if compressed else layer
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    assert configuration["config"]["Entrypoint"] == ["/usr/bin/program"]
    assert configuration["config"]["Cmd"] == ["serve"]
    assert configuration["config"]["User"] == "7:7"
    (saved,) = json.loads(found["manifest.json"])
    assert saved["RepoTags"] == [NAME]
    assert [found[place] for place in (saved["Config"], *saved["Layers"])] == [
        blob(found, manifest["config"]),
        layer,
    ], "like docker save, for a Docker that does not read index.json"
    assert len(found) == 6, "and nothing else"


def test_the_layer_has_files_links_and_every_parent_before_them(
    tmp_path: Path, program: Path
) -> None:
    found = members(written(tmp_path, program))
    layer = next(data for data in found.values() if data[257:262] == b"ustar")
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        entries = {member.name: member for member in opened}
        packed = opened.extractfile("usr/bin/program")
        assert packed is not None and packed.read() == program.read_bytes()
    names = list(entries)
    for name, entry in entries.items():
        parent = str(Path(name).parent)
        assert parent == "." or names.index(parent) < names.index(name)
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)
    assert entries["usr/bin/program"].mode == 0o755
    assert (entries["bin/sh"].issym(), entries["bin/sh"].linkname) == (True, "program")
    assert entries["tmp"].mode == 0o1777


@pytest.mark.parametrize("compressed", [False, True])
def test_the_same_files_give_the_same_bytes(
    tmp_path: Path, program: Path, compressed: bool
) -> None:
    first = written(tmp_path, program, compressed=compressed).read_bytes()
    (tmp_path / "again").mkdir()
    again = written(tmp_path / "again", program, compressed=compressed).read_bytes()
    assert first == again
    program.write_bytes(b"another")
    assert written(tmp_path, program, compressed=compressed).read_bytes() != first
