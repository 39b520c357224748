"""Programs of the workspace: a small file next to each one says its content, so damage is seen."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core.errors import Failure
from tasks.system import files, state
from tasks.system.resources import architecture

_MACHINES = {
    "386": "EM_386",
    "amd64": "EM_X86_64",
    "arm": "EM_ARM",
    "arm64": "EM_AARCH64",
    "ppc64le": "EM_PPC64",
    "riscv64": "EM_RISCV",
    "s390x": "EM_S390",
}
"""The e_machine of elf(5) for an architecture of Go."""


@dataclass(frozen=True)
class _Content:
    """The content of a binary; the fields are the JSON keys of the file next to it."""

    sha256: str
    size: int
    changed: int
    """Its ctime in ns, to see whether the content must be read again."""


def seal(path: Path) -> None:
    """Write down the content of a complete binary."""
    _write(path, files.digest_file(path))


def touch(path: Path) -> None:
    """Set the time at which a binary was last used; its content stays known."""
    known = _read(path)
    current = known is not None and known.changed == path.stat().st_ctime_ns
    path.touch()
    if known is not None and current:
        _write(path, known.sha256)


def is_intact(path: Path) -> bool:
    """Return whether a binary can be executed and has the content it had when it was stored.

    The content is read only when the file changed (ctime). A binary that an older stepkube stored
    must be complete.
    """
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    known, status = _read(path), path.stat()
    if known is None:
        complete = is_complete(path)
        if complete:
            _try_seal(path, files.digest_file(path))
        return complete
    if known.size != status.st_size:
        return False
    if known.changed == status.st_ctime_ns:
        return True
    digest = files.digest_file(path)
    if digest != known.sha256:
        return False
    _try_seal(path, digest)
    return True


def _seal_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _read(path: Path) -> _Content | None:
    return state.load(_seal_path(path), _Content, effect="the binary is checked again")


def _write(path: Path, digest: str) -> None:
    status = path.stat()
    content = _Content(digest, status.st_size, status.st_ctime_ns)
    files.write_json(_seal_path(path), asdict(content), 0o644)  # as readable as the binary


def _try_seal(path: Path, digest: str) -> None:
    with suppress(Failure, OSError):  # only the next check is slower
        _write(path, digest)


def is_complete(path: Path) -> bool:
    """Return whether a file can be executed, and an ELF file has all sections of its header.

    The ELF file must be for the processor of this machine. Another kind of file, such as a script,
    must not be empty.
    """
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    try:
        return _has_all_sections(path)
    except OSError:
        return False


def _has_all_sections(path: Path) -> bool:
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - `doit list` stays fast
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return size > 0
        stream.seek(0)
        try:
            elf = ELFFile(stream)
            headers = [section.header for section in elf.iter_sections()]
            machine = elf.header.e_machine
        except (ELFError, ValueError, KeyError, TypeError, AttributeError):
            return False
    if machine != _MACHINES.get(architecture(), machine):
        return False
    stored = (header for header in headers if header.sh_type != "SHT_NOBITS")
    return all(header.sh_offset + header.sh_size <= size for header in stored)
