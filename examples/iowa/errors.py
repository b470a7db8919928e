class CannotGoOnError(Exception):
    """The run ends here; the text is one sentence for a person."""
