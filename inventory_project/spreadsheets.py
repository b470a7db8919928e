"""Cells for people's spreadsheets."""

# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEUTRALISED_STARTS = tuple(f"'{start}" for start in _FORMULA_STARTS)


def neutralise(cell: str) -> str:
    """The cell with an apostrophe in front where it would be a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def take_back(cell: str) -> str:
    """The cell before it was neutralised."""
    return cell[1:] if cell.startswith(_NEUTRALISED_STARTS) else cell
