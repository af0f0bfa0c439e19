"""The results of a benchmark as rows to look at."""

import math
from collections.abc import Mapping

from training.tuning import Tuned

ENDS = ("_sd", "_low", "_high", "_p")  # shown beside the metric that they belong to


def rows(results: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """A row for each metric: its name, then a cell for each model; `±` is over seeds, `[]` over users."""
    names = dict.fromkeys(name for found in results.values() for name in found if not _belongs(name, found))
    return [(name, *(_cell(found, name) for found in results.values())) for name in names]


def tuned_rows(best: Mapping[str, Tuned]) -> list[tuple[str, str, str]]:
    """Model, setting, value; and what the defaults gave on validation beside what was found."""
    shown = []
    for name, each in best.items():
        weights = {f"weight of {event}": worth for event, worth in (each.weights or {}).items()}
        lines = {**each.params, **weights, "validation, defaults": each.default, "validation, tuned": each.value}
        shown += [(name, setting, _number(value)) for setting, value in lines.items()]
    return shown


def _belongs(name: str, found: Mapping[str, float]) -> bool:
    return any(name.endswith(end) and name.removesuffix(end) in found for end in ENDS)


def _cell(found: Mapping[str, float], name: str) -> str:
    if name not in found:
        return "-"
    cell = f"{found[name]:.0f}" if name.startswith(("users", "memory")) else _number(found[name])
    if found.get(f"{name}_sd"):
        cell += f" ± {found[f'{name}_sd']:.4f}"
    if f"{name}_low" in found:
        cell += f" [{found[f'{name}_low']:.4f}, {found[f'{name}_high']:.4f}]"
    return cell + (f" p {found[f'{name}_p']:.3f}" if f"{name}_p" in found else "")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "-" if math.isnan(value) else str(value) if isinstance(value, int) else f"{value:.4f}"
