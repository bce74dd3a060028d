"""The charts of a report, a file a chart: its data, its picture and its caption. A new chart is a new file here.

Only chart.py (what a chart is) and encodings.py (what charts share) are none.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ..findings import Findings
from .chart import REGISTRY, Chart, Section


def make_charts(found: Findings) -> dict[Section, list[Chart]]:
    """The charts of each section, from all modules of this folder, in their order."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    charts: dict[Section, list[Chart]] = {}
    for registered in sorted(REGISTRY, key=lambda r: r.order):
        charts.setdefault(registered.section, []).extend(registered.make(found))
    return charts
