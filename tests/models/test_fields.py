"""Settings of models from what is typed or kept as text."""

from dataclasses import asdict

import pytest

from features.errors import BadInput
from models import chosen, create, parameters
from models.als import AlsConfig
from models.blend import BlendConfig
from models.fields import stored


def test_settings_are_read_by_the_type_that_each_has() -> None:
    found = chosen(["als.embedding_size=64", "als.alpha=2", "sasrec.device=cuda", "blend.members=als,trending"])
    assert found == {
        "als": {"embedding_size": 64, "alpha": 2.0},
        "sasrec": {"device": "cuda"},
        "blend": {"members": ("als", "trending")},
    }


def test_settings_of_a_blends_members_are_the_blends() -> None:
    found = chosen(["blend.sasrec.members=3", "blend.als.embedding_size=64", "blend.share=0.3"])
    assert found == {"blend": {"member_settings": ("sasrec.members=3", "als.embedding_size=64"), "share": 0.3}}


def test_a_registry_gives_back_what_was_chosen() -> None:
    given = chosen(["blend.sasrec.members=3", "blend.als.alpha=2"])["blend"]
    for params in ({}, given):
        model = create("blend", 4, params)
        logged = {name: str(value) for name, value in model.params.items()}
        assert create("blend", 4, parameters("blend", logged)).params == model.params
    assert BlendConfig(**parameters("blend", logged)).member_settings == given["member_settings"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "field", "said"),
    [
        ("als", "set", "MODEL.FIELD=VALUE"),
        ("als.alpha", "set", "MODEL.FIELD=VALUE"),
        ("oracle.alpha=1", "set", "no model; known ones: als, "),
        ("als.size=1", "size", "known ones: embedding_size, "),
        ("als.embedding_size=1.5", "embedding_size", "als.embedding_size takes a whole number, not '1.5'"),
        ("als.alpha=nan", "alpha", "als.alpha takes a number, not 'nan'"),
        ("als.sasrec.members=3", "sasrec.members", "no parameter"),
        ("blend.members=als,oracle", "members", "no member 'oracle'"),
        ("blend.oracle.members=3", "set", "no model; known ones: als, ease"),
        ("blend.sasrec.members=many", "members", "sasrec.members takes a whole number"),
    ],
)
def test_what_is_no_setting_is_said(word: str, field: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        chosen([word])
    assert caught.value.field == field


def test_a_stored_model_may_lack_only_what_came_later() -> None:
    kept = {**asdict(AlsConfig(alpha=2.0)), "seed": 1}
    del kept["visits_beyond"]
    assert stored(AlsConfig, kept) == AlsConfig(alpha=2.0)
    del kept["alpha"]
    with pytest.raises(KeyError, match="alpha"):
        stored(AlsConfig, kept)
