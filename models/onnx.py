"""The one door to ONNX: torch modules become graphs here, and graphs answer here, without torch."""

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from features.errors import BrokenArtifact
from models.arrays import Float32

if TYPE_CHECKING:
    from torch import Tensor, nn

QUIET = 3  # errors only; its warnings go to stderr, where nobody asked for them


def _runtime() -> ModuleType:
    """onnxruntime, told before it starts to report to nobody: else it leaves a device's id and a database in HOME."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    return onnxruntime  # type: ignore[no-any-return]


class Graph:
    """An ONNX graph with one output, run on one thread: a service has as many workers as cores already."""

    def __init__(self, content: bytes) -> None:
        """Raises: BrokenArtifact: these bytes are no graph that onnxruntime can run."""
        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no base class of their own
            raise BrokenArtifact(f"this is no ONNX graph that can be run: {error}") from error
        self._content = content

    def __call__(self, **inputs: "np.ndarray[Any, Any]") -> Float32:
        """The output for these inputs, by their names."""
        output: Float32 = self._session.run(None, inputs)[0]
        return output

    def save(self, path: Path) -> None:
        """Write the graph."""
        path.write_bytes(self._content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The graph in a file.

        Raises:  BrokenArtifact: it is missing or can't be run.
        """
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise BrokenArtifact(f"{path.name} can't be read: {error}") from error


def exported(
    module: "nn.Module", inputs: "Mapping[str, Tensor]", output: str, free: Mapping[str, Sequence[str]]
) -> bytes:
    """The module as an ONNX graph, as it answers in evaluation mode.

    Args:    inputs: examples by name, in the order of forward(); free: for each input and output the names of its
             leading axes whose sizes may differ from the example's.
    """
    import torch  # noqa: PLC0415 - whoever serves has no use for it

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by tracing takes 0.3 s, its successor 7 s and more, which every fit would pay.
        warnings.simplefilter("ignore")  # it says that it will be replaced, and that shapes are traced
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]  # the exporter by tracing takes a buffer, says its documentation
            dynamo=False,
            input_names=list(inputs),
            output_names=[output],
            dynamic_axes={name: dict(enumerate(axes)) for name, axes in free.items()},
        )
    return buffer.getvalue()
