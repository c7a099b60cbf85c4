"""Versioned research datasets."""

COLUMNS = {"line_no": "BIGINT"}
