"""Experiments: TOML files that say what to run, and the code that runs them."""
