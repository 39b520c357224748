"""Container images without a registry: from an archive, and the pause image from the tree."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.addons import oci
from tasks.cli.task import Check, action, option
from tasks.components import containerd, docker
from tasks.core import console
from tasks.core.errors import Failure
from tasks.kubernetes.tree import load_checkout
from tasks.runtime import container, readiness
from tasks.settings.load import Settings
from tasks.settings.paths import expanded
from tasks.system import files, process, state
from tasks.system.run import Result, program, run

LIMIT = 900.0
"""Maximum time to import an archive, in seconds."""
_SOURCES = ("build/pause/linux/pause.c", "build/pause/pause.c")
# output for an image: of ctr up to 1.7, of ctr from 2.0 on, and of docker
_NAMED = re.compile(r"^(?:unpacking (\S+) \(|(\S+)\s+saved|Loaded image: (\S+))", re.MULTILINE)


def import_archive(settings: Settings, archive: Path) -> list[str]:
    """Import an OCI or Docker archive into the kubelet's container runtime; return image names.

    The list is empty if the runtime prints no name. Raises Failure if the import fails.
    """
    if docker.runs(settings):
        container.require_runtime(settings)
        result = container.run_docker(
            settings, "load", f"--input={archive}", check=False, limit=LIMIT
        )
    else:
        result = _import(settings, archive)
    if result.code:
        raise Failure(
            f"cannot load {archive}: {result.tail(1)}",
            "make the archive with docker save, podman save or skopeo copy ... oci-archive:FILE",
        )
    return imported_images(result.stdout)


def _import(settings: Settings, archive: Path) -> Result:
    if not containerd.runs(settings):
        raise Failure(
            "node.container_runtime_endpoint is set: stepkube does not run this container runtime",
            "load the archive with the tools of that runtime",
        )
    readiness.require(containerd.NAME)
    runtime = process.load(settings.paths.run, containerd.NAME)
    if runtime is None or not runtime.alive():
        raise Failure(f"containerd of the instance {settings.name} does not run", "run: doit up")
    return run(
        "ctr",
        f"--address={containerd.socket(settings)}",
        "--namespace=k8s.io",
        "images",
        "import",
        archive,
        check=False,
        timeout=LIMIT,
    )


def imported_images(output: str) -> list[str]:
    """Return the image names in the output of `ctr images import` or `docker load`."""
    return ["".join(names) for names in _NAMED.findall(output)]


@action
def load(settings: Settings, archive: str) -> None:
    """Load an archive into the container runtime and print the names of its images."""
    path = expanded(archive)
    if not path.is_file():
        raise Failure(
            f"--archive: {archive} does not exist" if archive else "--archive is missing",
            "run, for example: docker save -o web.tar web:1 && doit load --archive web.tar",
        )
    names = import_archive(settings, path.absolute())
    for name in names:
        console.say(f"  {name}")
    if not names:
        console.note("loaded, but the runtime printed no image name")


@action
def pause(settings: Settings) -> None:
    """Build the pause image from the tree and import it; without it pods do not start."""
    source = pause_source(settings)
    with tempfile.TemporaryDirectory(dir=settings.paths.instance, prefix="pause.") as folder:
        binary, archive = Path(folder, "pause"), Path(folder, "pause.tar")
        built = run(
            program("gcc"), "-Os", "-static", "-o", binary, source, check=False, timeout=120
        )
        if built.code:
            console.warn(
                f"pods cannot start: {source} does not compile: {built.tail(1)}\n"
                "  fix: run: apt-get install -y libc6-dev (static C library); or load a pause"
                " image and set node.pause_image to its name"
            )
            return
        image = oci.Image(
            containerd.PAUSE_IMAGE, {"/pause": binary}, ["/pause"], user="65535:65535"
        )
        oci.write(archive, image)
        import_archive(settings, archive)
    files.write_json(_record(settings), {"source": files.digest_file(source)})


def pause_source(settings: Settings) -> Path:
    """Return the C source of pause in the tree. Raises Failure if the tree has none."""
    tree = load_checkout(settings.paths.lock).tree
    for name in _SOURCES:
        if (tree / name).is_file():
            return tree / name
    raise Failure(
        f"{tree / _SOURCES[0]} does not exist",
        "load a pause image and set node.pause_image to its name",
    )


def is_pause_loaded(settings: Settings) -> bool:
    """Tell whether the runtime was given the pause image of this tree."""
    known = state.load(_record(settings), dict[str, str]) or {}
    same = known.get("source") == files.digest_file(pause_source(settings))
    return same and (not docker.runs(settings) or _in_docker(settings))


def _in_docker(settings: Settings) -> bool:
    """Look for the image itself: others may remove it."""
    looked = container.run_docker(settings, "image", "inspect", containerd.PAUSE_IMAGE, check=False)
    return looked.code == 0


def _record(settings: Settings) -> Path:
    """Return the path of the pause record: next to the images, so it is removed with them."""
    folder = settings.paths.instance if docker.runs(settings) else containerd.root(settings)
    return folder / "pause.json"


def task_load(settings: Settings) -> dict[str, Any]:
    """Return the task that loads images from an archive."""
    return {
        "doc": "load images from an archive into the node's container runtime",
        "actions": [(load, [settings])],
        "params": [
            option("archive", "OCI or Docker archive, such as the output of docker save", "")
        ],
        "uptodate": [False],
    }


def task_image(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the task that builds the pause image, which every pod needs."""
    yield {"name": None, "doc": "build images from the tree"}
    yield {
        "name": "pause",
        "doc": "build the pause image from the tree, so that no registry is needed",
        "actions": [(pause, [settings])],
        "task_dep": [
            "checkout",
            *([f"start:{containerd.NAME}"] if containerd.runs(settings) else []),
        ],
        "uptodate": [
            Check(
                "the container runtime has the pause image of this tree",
                is_pause_loaded,
                (settings,),
            )
        ],
    }
