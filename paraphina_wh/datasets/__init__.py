"""Versioned research datasets: JSON lines at ROOT, appended to and never edited, mirrored in the warehouse.

The file is the truth; the folder `datasets/` of the warehouse holds its lines, exact text and normalised columns,
so that views and other tools see every version at once.
"""

from __future__ import annotations

from paraphina_wh.datasets.append import Appended, append_research_rows
from paraphina_wh.datasets.columns import CANDIDATES, COLUMNS
from paraphina_wh.datasets.files import dataset_file, dataset_name, default_dataset
from paraphina_wh.datasets.mirror import Mirrored, mirror_dataset
from paraphina_wh.datasets.read import check_engine_of, read_dataset
from paraphina_wh.datasets.restore import regenerate
from paraphina_wh.datasets.rows import Selection, research_lines
from paraphina_wh.datasets.versions import check_open, new_dataset, open_dataset, seal_dataset

__all__ = [
    "CANDIDATES",
    "COLUMNS",
    "Appended",
    "Mirrored",
    "Selection",
    "append_research_rows",
    "check_engine_of",
    "check_open",
    "dataset_file",
    "dataset_name",
    "default_dataset",
    "mirror_dataset",
    "new_dataset",
    "open_dataset",
    "read_dataset",
    "regenerate",
    "research_lines",
    "seal_dataset",
]
