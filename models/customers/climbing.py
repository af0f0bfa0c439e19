"""The least value of a smooth function of a few parameters, with its gradient at hand."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Float64 = NDArray[np.float64]


def lowest(
    value: Callable[[Float64], tuple[float, Float64]], start: Float64, bounds: list[tuple[float | None, float | None]]
) -> tuple[float, Float64]:
    """Where L-BFGS-B ends: the value and the parameters.

    Args:    value: the function and its gradient; bounds: of each parameter.
    """
    options = {"maxiter": 2_000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(value, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)  # type: ignore[call-overload] # its stubs want a shape
    return float(found.fun), np.asarray(found.x, np.float64)
