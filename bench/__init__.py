"""The measured comparisons: `python -m bench`. Not part of the package, not part of the tests."""
