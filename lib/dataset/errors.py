"""What all data sets raise."""


class DatasetError(ValueError):
    """A data set that cannot be used; the text names the file, the offending value and the remedy."""
