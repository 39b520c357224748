from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tasks.build import dwarf_check
from tasks.core.errors import Failure


def test_a_debug_build_is_proven(toy: Path) -> None:
    info = dwarf_check.prove_debuggable(toy)

    assert info.dwarf in (4, 5)
    assert len(info.go) == 1
    assert info.go[0].startswith("go1.")
    assert info.debug > 100
    assert 10 < info.runtime < 60
    assert (info.optimized, info.missing, info.packages) == (0, (), ())


def test_a_stripped_binary_is_refused(toy_stripped: Path) -> None:
    assert dwarf_check.inspect(toy_stripped) == dwarf_check.DebugInfo()
    with pytest.raises(Failure, match="no debug information") as caught:
        dwarf_check.prove_debuggable(toy_stripped)
    assert str(toy_stripped) in caught.value.message
    assert "-s -w" in caught.value.hint


def test_an_optimised_binary_is_refused(toy_optimised: Path) -> None:
    info = dwarf_check.inspect(toy_optimised)

    assert (info.debug, info.runtime) == (0, 0)
    assert info.missing == ("-N", "-l")
    with pytest.raises(Failure, match=r"main and .* more .*-N -l") as caught:
        dwarf_check.prove_debuggable(toy_optimised)
    assert "all=-N -l" in caught.value.hint


def test_flags_for_the_main_package_alone_are_not_enough(toy_main_only: Path) -> None:
    info = dwarf_check.inspect(toy_main_only)

    assert info.debug == 1
    assert "net/http" in info.packages
    assert "main" not in info.packages
    with pytest.raises(Failure, match="optimised"):
        dwarf_check.prove_debuggable(toy_main_only)


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "kubelet"
    text.write_text("#!/bin/sh\nexec true\n")
    with pytest.raises(Failure, match="64-bit ELF"):
        dwarf_check.inspect(text)


def test_an_empty_a_missing_and_a_cut_off_file_are_refused(toy: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(Failure, match="64-bit ELF"):
        dwarf_check.inspect(empty)
    with pytest.raises(Failure, match=r"cannot read .*No such file"):
        dwarf_check.inspect(tmp_path / "missing")
    cut = tmp_path / "cut"
    cut.write_bytes(toy.read_bytes()[:4096])
    with pytest.raises(Failure, match="64-bit ELF"):
        dwarf_check.inspect(cut)


@pytest.mark.parametrize("name", [".debug_info", ".debug_abbrev"])
def test_damaged_debug_information_is_refused(toy: Path, tmp_path: Path, name: str) -> None:
    content = bytearray(toy.read_bytes())
    with toy.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(name)
    assert section is not None
    content[section["sh_offset"] : section["sh_offset"] + 64] = bytes(64)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    with pytest.raises(Failure, match=str(damaged)):
        dwarf_check.inspect(damaged)


def test_a_program_in_c_is_not_taken_for_go() -> None:
    with pytest.raises(Failure, match=r"not a Go program|no debug information"):
        dwarf_check.prove_debuggable(Path("/bin/sh").resolve())


def test_all_units_are_read_once_per_recipe(
    toy: Path,
    toy_stripped: Path,
    toy_optimised: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proof = tmp_path / "proofs/toy"
    with pytest.raises(Failure, match="optimised"):
        dwarf_check.prove_once(toy_optimised, proof)
    assert not proof.exists()
    dwarf_check.prove_once(toy, proof)
    with pytest.raises(Failure, match="no debug information"):
        dwarf_check.prove_once(toy_stripped, proof)
    text = tmp_path / "text"
    text.write_text("no binary")
    with pytest.raises(Failure, match="64-bit ELF"):
        dwarf_check.prove_once(text, proof)
    monkeypatch.setattr(dwarf_check, "inspect", lambda _: pytest.fail("read again"))
    dwarf_check.prove_once(toy, proof)
