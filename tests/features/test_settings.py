"""Settings: read from the environment, wrong ones named."""

from pathlib import Path

import pytest

from features.errors import BadSetting
from features.settings import VARIABLES, Settings, from_environment, to_environment


def test_an_empty_environment_means_embedded_parts_and_a_folder_here() -> None:
    assert from_environment({}) == Settings(data=Path(".kindred").resolve())


def test_variables_of_other_programs_are_none_of_ours() -> None:
    assert from_environment({"KINDREDX": "1", "PATH": "/bin"}) == from_environment({})


def test_an_unknown_variable_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadSetting, match="KINDRED_KAFKAS is not a setting; known ones: KINDRED_DATA, KINDRED_KAFKA"):
        from_environment({"KINDRED_KAFKAS": "x:1"})


def test_settings_survive_the_way_through_an_environment() -> None:
    settings = Settings(
        data=Path("/somewhere"),
        kafka="a:1,b:2",
        redis="rediss://:secret@host:6380/2",
        mlflow="http://host:5000",
        models=("trending",),
        repeatable=frozenset({"food", "drink"}),
        buckets=128,
        demo=True,
        most_in_flight=50,
        watch_minutes=0,
        grace=0,
        parts=("track",),
    )
    assert from_environment(to_environment(settings)) == settings
    assert to_environment(settings).keys() == VARIABLES.keys()


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://a:7000",
        "rediss+cluster://user:secret@a:7000,b:7001",
        "redis+cluster://[::1]:7000/",
        "unix:///r.s",
    ],
)
def test_a_redis_may_be_a_cluster_of_several_nodes(url: str) -> None:
    assert from_environment({"KINDRED_REDIS": url}).redis == url


def test_spaces_and_a_trailing_slash_are_forgiven() -> None:
    settings = from_environment(
        {"KINDRED_MLFLOW": " http://host:5000/ ", "KINDRED_REPEATABLE": " food , ", "KINDRED_MODELS": "als, trending"}
    )
    assert (settings.mlflow, settings.repeatable) == ("http://host:5000", frozenset({"food"}))
    assert settings.models == ("als", "trending")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KINDRED_KAFKA", "localhost"),
        ("KINDRED_KAFKA", "localhost:"),
        ("KINDRED_KAFKA", ":9092"),
        ("KINDRED_KAFKA", "host:port"),
        ("KINDRED_KAFKA", "host:70000"),
        ("KINDRED_KAFKA", "host:²"),
        ("KINDRED_REDIS", "localhost:6379"),
        ("KINDRED_REDIS", "redis://host:port"),
        ("KINDRED_REDIS", "redis+cluster://"),
        ("KINDRED_REDIS", "redis+cluster://host"),
        ("KINDRED_REDIS", "redis+cluster://host:6379,other"),
        ("KINDRED_REDIS", "rediss+cluster://host:6379/2"),
        ("KINDRED_MLFLOW", "host:5000"),
        ("KINDRED_MLFLOW", "http://host:99999"),
        ("KINDRED_EXPLORATION", "0.51"),
        ("KINDRED_EXPLORATION", "nan"),
        ("KINDRED_CATEGORY_SHARE", "0"),
        ("KINDRED_CATEGORY_SHARE", "half"),
        ("KINDRED_BUCKETS", "0"),
        ("KINDRED_GRACE", "101"),
        ("KINDRED_PARTS", "track,live"),
        ("KINDRED_SESSION_MS", "999"),
        ("KINDRED_SESSION_MS", "300001"),
        ("KINDRED_WATCH_MINUTES", "1441"),
        ("KINDRED_WATCH_MINUTES", "-1"),
        ("KINDRED_BUCKETS", "-1"),
        ("KINDRED_BUCKETS", "many"),
        ("KINDRED_BUCKETS", "²"),
        ("KINDRED_BUCKETS", "9" * 5_000),
        ("KINDRED_MOST_IN_FLIGHT", "0"),
        ("KINDRED_DEMO", "yes"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name) as refused:
        from_environment({name: value})
    assert refused.value.field == name
    assert len(str(refused.value)) < 200


def test_a_password_never_shows_in_a_complaint() -> None:
    for value in ("http://user:se@cret@host", "redis://user:se@cret@host:port", "redis+cluster://u:se@cret@host"):
        with pytest.raises(BadSetting) as refused:
            from_environment({"KINDRED_REDIS": value})
        assert "cret@" not in str(refused.value)
        assert "@host" in str(refused.value)
