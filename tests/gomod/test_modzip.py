import zipfile
from pathlib import Path

import pytest

from tasks.core.errors import Failure
from tasks.gomod import modzip


@pytest.mark.parametrize("name", ["/etc/x", "a/../../x", "./x", ".git/config", "pkg/.git/hooks/x"])
def test_a_zip_with_a_file_that_git_or_the_host_would_use_is_refused(
    tmp_path: Path, name: str
) -> None:
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(f"m@v1/{name}", "x")
    with pytest.raises(Failure, match=r"m\.zip"):
        modzip.unpack(archive, "m@v1/", tmp_path / "root", lambda _name, _start: False)
    assert not (tmp_path / "root" / name).exists()
