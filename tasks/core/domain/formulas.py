"""Cells that a spreadsheet would compute: shielded when we write a CSV, bare when we read one.

A cell that begins so is a formula to a spreadsheet, and may fetch or run something. All our CSV
is read by ``read_csv``, which takes the shield off, so that what people graded is what was sent.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SHIELD = "'"


def shield(cell: str) -> str:
    """``=1+1`` becomes ``'=1+1``; so does what already looks shielded, to come back as it was."""
    bare = cell.lstrip(_SHIELD)
    return _SHIELD + cell if bare.startswith(_FORMULA) else cell


def unshield(cell: str) -> str:
    """The inverse of ``shield``."""
    bare = cell.lstrip(_SHIELD)
    return cell[1:] if cell.startswith(_SHIELD) and bare.startswith(_FORMULA) else cell
