"""What two or more of the methods share."""

if __name__ != "fullconv.lib":  # a second copy under another name would have its own classes and errors
    raise ImportError("this folder is imported as fullconv.lib: run from the checkout, python -m fullconv.lib...")
