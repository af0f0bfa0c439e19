"""The memory that a piece of work needed at most."""

import sys

import numpy as np
import pytest

from pipelines.peak import Peak


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the mark is that of the whole process")
def test_what_was_needed_before_does_not_count_and_what_was_freed_does() -> None:
    with Peak() as large:
        np.ones(40 << 20, dtype=np.uint8).sum()
    with Peak() as small:
        np.ones(1 << 20, dtype=np.uint8).sum()
    assert large.mb > small.mb + 30 > 30
