"""A figure of matplotlib that a notebook shows; imported only where something is drawn."""

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure with a picture for notebooks, whatever backend matplotlib has and without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()
