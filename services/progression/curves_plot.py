"""A picture of a curve: totals above, costs below. The only module here that needs matplotlib."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.progression.domain.curve import Curve

POINTS = 500
"""Levels drawn, at most; those between them are left out."""
FAR_APART = 1_000
"""Beyond this ratio of the greatest to the least a linear scale says nothing of the small ones."""


def plot(curve: Curve, first: int, last: int, file: Path) -> None:
    """Levels `first` to `last`, into a .png or what else its ending says. Raises ValueError: impossible."""
    if first == last:
        raise ValueError(f"a picture needs more than one level, not only {first}")
    levels = [*range(first, last, -(-(last - first) // POINTS)), last]
    totals = [curve.total(level) for level in levels]
    priced = levels[:-1] if last == curve.last_level else levels
    costs = [curve.total(level + 1) - curve.total(level) for level in priced]
    figure = Figure(figsize=(9, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _line(upper, "total", levels, totals)
    _line(lower, "cost, to the next level", priced, costs)
    lower.set_xlabel("level")
    figure.suptitle(curve.name)
    figure.savefig(file, dpi=120)


def _line(axes: Axes, title: str, levels: list[int], amounts: list[int]) -> None:
    try:
        axes.plot([float(level) for level in levels], [float(amount) for amount in amounts])
    except OverflowError:
        raise ValueError("the amounts are too large for a picture, show fewer levels") from None
    axes.set_title(title, loc="left")
    axes.grid(visible=True, alpha=0.3)
    if max(amounts) > FAR_APART * min(amount for amount in amounts if amount):
        axes.set_yscale("log", nonpositive="mask")
