"""Where models are trained."""

import pytest
import torch

from features.errors import BadInput
from models import MODELS, placed
from models.device import check_device


def test_a_model_that_can_be_trained_on_several_devices_is_told_which() -> None:
    assert placed("sasrec", "cuda", {"epochs": 3, "device": "cpu"}) == {"epochs": 3, "device": "cuda"}
    assert placed("als", "cuda", {"epochs": 3}) == {"epochs": 3}
    assert placed("churn", "cuda") == placed("popularity", "cuda") == {}
    assert [name for name in MODELS if placed(name, "cuda")] == ["blend", "sasrec"]


@pytest.mark.parametrize(("device", "there", "said"), [("tpu", True, "one of cpu, cuda"), ("cuda", False, "no CUDA")])
def test_a_device_that_is_none_or_not_there_is_refused(
    device: str, there: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    check_device("cuda" if there else "cpu")
    with pytest.raises(BadInput, match=said) as caught:
        check_device(device)
    assert caught.value.field == "device"
