"""What may be tuned is there, and the defaults are within it."""

import pytest

from features.errors import BadInput
from models import MODELS, create
from models.spaces import SPACES, Choice, defaults_of, space_of


@pytest.mark.parametrize("name", SPACES)
def test_the_defaults_of_a_model_lie_within_its_ranges(name: str) -> None:
    assert name in MODELS
    for each, value in defaults_of(name).items():
        within = space_of(name).ranges[each]
        if isinstance(within, Choice):
            assert value in within.values
        else:
            assert within.low <= float(value) <= within.high
            assert within.low > 0 or not within.log


@pytest.mark.parametrize("name", SPACES)
def test_a_model_can_be_made_of_what_a_space_names(name: str) -> None:
    assert create(name, 3, defaults_of(name)).params == create(name, 3).params


def test_a_model_without_ranges_is_said() -> None:
    with pytest.raises(BadInput, match="nothing to tune in 'oracle'"):
        space_of("oracle")
