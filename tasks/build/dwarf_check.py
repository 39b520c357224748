"""Whether a Go binary can be debugged, read from its DWARF without any other program.

The compiler notes in every unit (a package, roughly) which of its flags were set, for example
`Go cmd/compile go1.26.8; -N -l regabi`; Delve reads the same words to call a function optimised.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import Failure

GCFLAGS = "-gcflags 'all=-N -l'"
_NEEDED = ("-N", "-l")
_COMPRESSED, _ZLIB, _NOBITS = 0x800, 1, 8
# A Go unit opens with its name; a few numbers and its folder stand before the compiler's words.
_UNIT = re.compile(
    rb"[\x01-\x7f]([^\0]*)\0.*?\0Go cmd/compile ([^;\0]*)(?:; ([^\0]*))?\0", re.DOTALL
)


@dataclass(frozen=True)
class DebugInfo:
    """What a binary's DWARF says.

    `dwarf` is the format's version, None when the binary is stripped; `debug` counts the units
    compiled with -N -l, `runtime` those of Go's runtime, which ignore -N, `optimized` the others.
    `missing` holds the flags that the optimised units lack, `packages` the names of those units.
    """

    dwarf: int | None = None
    go: tuple[str, ...] = ()
    debug: int = 0
    runtime: int = 0
    optimized: int = 0
    missing: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def prove_debuggable(path: Path) -> DebugInfo:
    """Return what the DWARF says, or raise Failure naming the flag that was missing or too much."""
    info = inspect(path)
    if info.dwarf is None:
        raise Failure(
            f"{path} has no debug information (DWARF): it was linked with -s or -w, or stripped",
            "link without -ldflags '-s -w' (make: GOLDFLAGS= or DBG=1) and do not strip it",
        )
    if not info.go:
        raise Failure(f"{path} is not a Go program", "name a binary that go build made")
    if info.optimized:
        others = f" and {info.optimized - 1} more" if info.optimized > 1 else ""
        raise Failure(
            f"{path} is optimised: {info.packages[0]}{others} compiled without "
            f"{' '.join(info.missing)}",
            f"build with {GCFLAGS} (make: GOGCFLAGS='all=-N -l' or DBG=1)",
        )
    return info


def inspect(path: Path) -> DebugInfo:
    """Read the debug information of a binary; raises Failure for what is not a 64-bit ELF file."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as image:
            return _summary(_debug_info(image, path))
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError, struct.error, zlib.error):
        raise Failure(
            f"{path} is not a whole, little-endian 64-bit ELF binary", "build it anew"
        ) from None


def _summary(data: bytes | None) -> DebugInfo:
    if data is None:
        return DebugInfo()
    versions: set[str] = set()
    packages: dict[str, None] = {}
    lacking: set[str] = set()
    debug = runtime = optimized = dwarf = 0
    for version, opening in _units(data):
        dwarf = max(dwarf, version)
        if (match := _UNIT.match(opening)) is None:
            continue  # C or assembler
        package, compiler = match[1].decode(errors="replace"), match[2].decode(errors="replace")
        versions.add(compiler)
        flags = (match[3] or b"").decode(errors="replace").split()
        missing = set(_NEEDED).difference(flags)
        if not missing or _keeps_no_flags(compiler):
            debug += 1
        elif missing == {"-N"} and _is_runtime(package):
            runtime += 1
        else:
            optimized += 1
            packages.setdefault(package)
            lacking |= missing
    # The program's own packages say most about how it was built: no path of Go's has such a dot.
    names = sorted(
        packages, key=lambda name: (name != "main", "." not in name.partition("/")[0], name)
    )
    return DebugInfo(
        dwarf=dwarf,
        go=tuple(sorted(versions)),
        debug=debug,
        runtime=runtime,
        optimized=optimized,
        missing=tuple(flag for flag in _NEEDED if flag in lacking),
        packages=tuple(names),
    )


def _is_runtime(package: str) -> bool:
    """Tell whether a package is part of Go's runtime, for which the compiler drops -N."""
    return package == "runtime" or package.startswith(("runtime/", "internal/"))


def _keeps_no_flags(compiler: str) -> bool:
    """Tell whether a Go is older than 1.10, the first to note its flags (Delve: bininfo.go)."""
    match = re.match(r"go1\.(\d+)", compiler)
    return match is not None and int(match[1]) < 10


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield DWARF version and opening bytes of each unit, hopping from header to header."""
    offset = 0
    while offset < len(data):
        length, version = struct.unpack_from("<IH", data, offset)
        width = 4
        if length == 0xFFFFFFFF:
            length, version = struct.unpack_from("<QH", data, offset + 4)
            width = 12
        # Behind the version: abbreviations and address size; DWARF 5 adds the type of the unit.
        body = offset + width + 2 + (8 if width == 12 else 4) + (2 if version >= 5 else 1)
        offset += width + length
        yield version, data[body : min(body + 8192, offset)]


def _debug_info(image: mmap.mmap, path: Path) -> bytes | None:
    """Return the content of .debug_info, inflated when need be, or None when there is none."""
    if image[:4] != b"\x7fELF" or image[4:6] != b"\x02\x01":
        raise ValueError
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count, names_at = struct.unpack_from("<HHH", image, 58)
    headers = [struct.unpack_from("<IIQQQQ", image, table + index * size) for index in range(count)]
    if any(kind != _NOBITS and at + length > len(image) for _, kind, _, _, at, length in headers):
        raise ValueError
    for name, _, flags, _, start, length in headers:
        begin = headers[names_at][4] + name
        title = image[begin : image.find(b"\0", begin)]
        if title not in (b".debug_info", b".zdebug_info"):
            continue
        data = image[start : start + length]
        if title == b".zdebug_info" and data[:4] == b"ZLIB":  # Go before 1.18
            return _inflated(data, 12, *struct.unpack_from(">Q", data, 4))
        if not flags & _COMPRESSED:
            return data
        form, size = struct.unpack_from("<I4xQ", data)
        if form != _ZLIB:
            raise Failure(
                f"{path}: the debug information is compressed by something other than zlib",
                "link with -ldflags -compressdwarf=false",
            )
        return _inflated(data, 24, size)
    return None


def _inflated(data: bytes, header: int, size: int) -> bytes:
    """Return what follows a header, inflated; knowing the size saves copying."""
    return zlib.decompress(memoryview(data)[header:], bufsize=min(size, 1 << 28))
