"""Charts as SVG, drawn on the server: no script, no style attribute, readable in grey.

Colours are classes (`series-1` …) whose values plots.css sets for light and dark. Every chart
carries the numbers behind it as a table. Nothing here imports Django.
"""

from core.plots.dots import Point, Row, interval_chart, scatter_chart
from core.plots.figure import Plot, Svg
from core.plots.lines import Series, line_chart

__all__ = [
    "Plot",
    "Point",
    "Row",
    "Series",
    "Svg",
    "interval_chart",
    "line_chart",
    "scatter_chart",
]
