"""Data sets: readers of the originals' layouts and of data of the user's own, and the embedded ones."""
