"""Check that a Go binary can be debugged: reads its DWARF, without any other program.

The compiler writes into each unit (roughly a package) which of its flags were set, for example
`Go cmd/compile go1.26.8; -N -l regabi`. Delve reads the same text to report optimised functions.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import Failure
from tasks.system import files

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

GCFLAGS = "-gcflags 'all=-N -l'"
_SECTIONS = {".debug_info", ".debug_line", ".debug_abbrev", ".symtab"}
_DEBUG_FLAGS = ("-N", "-l")
_COMPILER = re.compile(r"Go cmd/compile ([^;]*)(?:; (.*))?", re.DOTALL)

_DAMAGED = (AssertionError, AttributeError, LookupError, ValueError, struct.error, zlib.error)
"""Errors that pyelftools raises for a damaged file, in addition to its own error classes."""


@dataclass(frozen=True)
class DebugInfo:
    """Debug information of a Go binary, as a summary of its DWARF units."""

    dwarf: int | None = None
    """Version of the DWARF format; None for a stripped binary."""
    go: tuple[str, ...] = ()
    """Versions of the Go compilers, such as go1.26.8."""
    debug: int = 0
    """Number of units compiled with -N -l."""
    runtime: int = 0
    """Number of units of Go's runtime, for which the compiler ignores -N."""
    optimized: int = 0
    """Number of all other Go units."""
    missing: tuple[str, ...] = ()
    """Flags that are missing in optimised units."""
    packages: tuple[str, ...] = ()
    """Names of the packages of the optimised units."""


def prove_debuggable(path: Path) -> DebugInfo:
    """Return the debug information of a binary that can be debugged.

    Raises Failure, which names the missing flag (-N, -l) or the flag to remove (-s, -w).
    """
    info = inspect(path)
    if info.dwarf is None:
        raise Failure(
            f"{path} has no debug information (DWARF): it was linked with -s or -w, or stripped",
            "link without -ldflags '-s -w' (make: GOLDFLAGS= or DBG=1) and do not strip it",
        )
    if not info.go:
        raise Failure(f"{path} is not a Go program", "use a binary that go build wrote")
    if info.optimized:
        others = f" and {info.optimized - 1} more" if info.optimized > 1 else ""
        raise Failure(
            f"{path} is optimised: {info.packages[0]}{others} compiled without"
            f" {' '.join(info.missing)}",
            f"build with {GCFLAGS} (make: GOGCFLAGS='all=-N -l' or DBG=1)",
        )
    return info


def prove_once(path: Path, proof: Path) -> None:
    """Raise Failure if a binary cannot be debugged; see `prove_debuggable`.

    The file `proof` is written after the first binary. Later binaries, built with the same flags by
    the same Go, must only have the sections: go passes the flags to the compiler of each package.
    """
    if not (proof.is_file() and _section_names(path) >= _SECTIONS):
        prove_debuggable(path)
        files.write(proof, "")


def _section_names(path: Path) -> set[str]:
    """Return the names of the sections with content of an ELF file; empty for other files.

    It reads a few hundred bytes, which a check of each new binary can afford.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(64)
            (start,) = struct.unpack_from("<Q", header, 40)
            size, count, names_at = struct.unpack_from("<HHH", header, 58)
            stream.seek(start)
            table = stream.read(size * count)
            sections = [struct.unpack_from("<IIQQQQ", table, size * i) for i in range(count)]
            stream.seek(sections[names_at][4])
            names = stream.read(sections[names_at][5])
    except (OSError, IndexError, struct.error):
        return set()
    texts = (names[s[0] :].partition(b"\0")[0] for s in sections if s[5])
    return {text.decode(errors="replace").replace(".z", ".", 1) for text in texts}


def inspect(path: Path) -> DebugInfo:
    """Return the debug information of a binary.

    Raises Failure if the file is not a 64-bit ELF binary.
    """
    from elftools.common import exceptions  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - `doit list` stays fast

    try:
        with path.open("rb") as stream:
            return _summary(_units(ELFFile(stream)))
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", "make it readable") from error
    except exceptions.ELFCompressionError as error:
        raise Failure(
            f"{path}: the debug information cannot be decompressed: {error}",
            "link with -ldflags -compressdwarf=false",
        ) from error
    except (exceptions.ELFError, exceptions.DWARFError, *_DAMAGED) as error:
        raise Failure(
            f"{path} is not a complete little-endian 64-bit ELF binary", "build it again"
        ) from error


def _summary(units: Iterator[tuple[int, str, str]]) -> DebugInfo:
    versions: set[str] = set()
    packages: dict[str, None] = {}
    missing_flags: set[str] = set()
    debug = runtime = optimized = 0
    dwarf: int | None = None
    for version, package, producer in units:
        dwarf = max(dwarf or 0, version)
        if (match := _COMPILER.fullmatch(producer)) is None:
            continue  # C or assembler
        versions.add(match[1])
        missing = set(_DEBUG_FLAGS).difference((match[2] or "").split())
        if not missing or _keeps_no_flags(match[1]):
            debug += 1
        elif missing == {"-N"} and _is_runtime(package):
            runtime += 1
        else:
            optimized += 1
            packages.setdefault(package)
            missing_flags |= missing
    # The program's packages come first: they show best how it was built. Unlike Go's packages
    # they have a dot in the first element of the path.
    names = sorted(
        packages, key=lambda name: (name != "main", "." not in name.partition("/")[0], name)
    )
    return DebugInfo(
        dwarf=dwarf,
        go=tuple(sorted(versions)),
        debug=debug,
        runtime=runtime,
        optimized=optimized,
        missing=tuple(flag for flag in _DEBUG_FLAGS if flag in missing_flags),
        packages=tuple(names),
    )


def _is_runtime(package: str) -> bool:
    """Return whether a package is part of Go's runtime, for which the compiler ignores -N."""
    return package == "runtime" or package.startswith(("runtime/", "internal/"))


def _keeps_no_flags(compiler: str) -> bool:
    """Return whether a Go is older than 1.10, the first that writes flags (Delve: bininfo.go)."""
    match = re.match(r"go1\.(\d+)", compiler)
    return match is not None and int(match[1]) < 10


def _units(binary: ELFFile) -> Iterator[tuple[int, str, str]]:
    """Yield DWARF version, name and producer of each unit; nothing for a stripped binary.

    Raises ValueError for another architecture or a file that is too short.
    """
    if binary.elfclass != 64 or not binary.little_endian:
        raise ValueError
    for section in binary.iter_sections():
        end = section["sh_offset"] + section["sh_size"]
        if section["sh_type"] != "SHT_NOBITS" and end > binary.stream_len:
            raise ValueError
    if not binary.has_dwarf_info(strict=True):
        return
    for unit in binary.get_dwarf_info(relocate_dwarf_sections=False).iter_CUs():
        attributes = unit.get_top_DIE().attributes
        name, producer = (
            attributes[key].value.decode(errors="replace") if key in attributes else ""
            for key in ("DW_AT_name", "DW_AT_producer")
        )
        yield unit["version"], name, producer
