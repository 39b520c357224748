"""Fast imports of tasks/: a module is loaded at its first use, with compiled code from a cache.

The methods of dataclasses are in the cache too: dataclasses writes them as text and compiles them.

Python keeps compiled code next to the source. PYTHONDONTWRITEBYTECODE or a read-only folder
prevents that, and compiling takes longer than all else that `doit list` does.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tasks.core import derived

_OBJECTS = 50_000
"""Number of new objects after which Python searches for cycles; with its 700, every twelfth ms."""
_LOCK = threading.RLock()
"""A second thread waits until a module is loaded."""
_LOADING: list[ModuleType] = []
"""The modules that are being loaded, by the thread that has the lock."""
_OF_IMPORTS = frozenset({"__class__", "__dict__", "__spec__"})
"""Attributes that the import statement reads: reading them does not load a module."""


class _Lazy(ModuleType):
    """A module that is loaded when its first attribute is read."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _OF_IMPORTS:
            with _LOCK:
                if type(self) is _Lazy and self not in _LOADING:
                    _load(self)
        return ModuleType.__getattribute__(self, name)


def _load(module: _Lazy) -> None:
    """Load a module; after an error, its next use tries it again."""
    _LOADING.append(module)
    try:
        loader = module.__spec__.loader if module.__spec__ else None
        assert isinstance(loader, _Loader)  # noqa: S101 - it made the module lazy
        loader.load(module)
        module.__class__ = ModuleType  # type: ignore[assignment] # for every later use
    finally:
        _LOADING.remove(module)


class _Loader(SourceFileLoader):
    """Loads a module at its first use, with its compiled code from the cache."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the first use of the module load it; a package only gets its docstring now."""
        if self.is_package(module.__name__):
            self.load(module)
        else:
            module.__class__ = _Lazy

    def load(self, module: ModuleType) -> None:
        """Load the module now."""
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled code of the module."""
        compiled = partial(self._compiled, fullname)
        code: CodeType = derived.value(f"code of {self.path}", [self.path], compiled)
        return code

    def _compiled(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds the packages and modules below tasks/."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("tasks."):
            return None
        base = derived.ROOT.joinpath(*name.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                loader = _Loader(name, str(file))
                return importlib.util.spec_from_file_location(name, file, loader=loader)
        return None


def _execute(text: str, names: dict[str, Any], local: dict[str, Any]) -> None:
    """Run a text like `exec`, with its compiled code from the cache."""
    compiled = partial(compile, text, "<string>", "exec", dont_inherit=True)
    exec(derived.value(f"run {text}", (), compiled), names, local)  # noqa: S102 - of dataclasses


def install() -> None:
    """Make the imports of tasks/ fast that follow in this process."""
    home = os.environ.get("STEPKUBE_HOME") or derived.ROOT / ".stepkube"
    derived.install(Path(home).expanduser().absolute())
    gc.set_threshold(_OBJECTS)
    sys.meta_path.insert(0, _Finder)
    vars(dataclasses)["exec"] = _execute  # there it comes before the built-in function
