"""What a test needs but cannot have makes it fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.core.errors import Failure


@contextmanager
def in_words() -> Iterator[None]:
    """Fail with the words of a Failure: what a test needs is never skipped over."""
    try:
        yield
    except Failure as failure:
        pytest.fail(str(failure), pytrace=False)
