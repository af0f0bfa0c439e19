"""Where torch trains: the processor, or a CUDA device where there is one."""

from features.errors import BadInput

DEVICES = ("cpu", "cuda")


def check_device(device: str) -> None:
    """Raises BadInput where it is none of DEVICES, or isn't there; torch is only asked for `cuda`."""
    if device not in DEVICES:
        raise BadInput(f"--device takes one of {', '.join(DEVICES)}, not {device!r}", "device")
    if device == "cpu":
        return
    import torch  # noqa: PLC0415 - takes seconds, and who trains on the processor may never need it

    if not torch.cuda.is_available():
        raise BadInput("torch finds no CUDA device here; --device cpu trains without one", "device")
