"""The edge weights at the end as a table whose cells are the darker the greater their weight."""

from collections.abc import Sequence

from ops.space import NONE, NUM_OPS
from supernet.report.figures.style import EDGE_LABELS, OP_LABELS


def weights_table(
    w_EO: Sequence[Sequence[float]], taken: Sequence[int], *, none: bool = False
) -> str:
    """The HTML of the 6x5 edge weights; a frame marks the operator that each edge takes.

    taken: six operator numbers. none: whether a cell may hold `none`; else its column is faint.
    """
    top = max(map(max, w_EO)) or 1.0
    head = "".join(f"<th>{OP_LABELS[op]}</th>" for op in range(NUM_OPS))
    rows = [
        f"<tr><th>edge {label}</th>"
        + "".join(
            _weight(w, w / top, framed=op == take, faint=op == NONE and not none)
            for op, w in enumerate(row)
        )
        + "</tr>"
        for label, row, take in zip(EDGE_LABELS, w_EO, taken, strict=True)
    ]
    return (
        '<div class="scroll"><table class="weights"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _weight(w: float, share: float, *, framed: bool, faint: bool) -> str:
    classes = [name for name, holds in (("taken", framed), ("faint", faint)) if holds]
    marked = f' class="{" ".join(classes)}"' if classes else ""
    return f'<td{marked} style="--share: {100 * share:.0f}%">{w:.3f}</td>'
