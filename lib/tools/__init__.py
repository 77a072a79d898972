"""Commands that people run on their data and results."""
