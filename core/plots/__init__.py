"""Charts as SVG, drawn on the server: no script, no style attribute, readable in grey.

Colours are classes (`series-1` …) whose values plots.css sets for light and dark. Every chart
carries the numbers behind it as a table. Nothing here imports Django.
"""

from core.plots.dots import Point, Row, interval_chart, scatter_chart
from core.plots.figure import Plot, Svg
from core.plots.histogram import histogram
from core.plots.lines import Series, line_chart
from core.plots.marks import interval_mark

__all__ = [
    "Plot",
    "Point",
    "Row",
    "Series",
    "Svg",
    "histogram",
    "interval_chart",
    "interval_mark",
    "line_chart",
    "scatter_chart",
]
