"""The page docs/experiment-files.md, from the declared form: `python -m paraphina_wh.experiments.reference`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from paraphina_wh.experiments.checks import BUILT_IN, CAPTURED
from paraphina_wh.experiments.columns import STATISTICS
from paraphina_wh.experiments.spec import Spec
from paraphina_wh.experiments.starter import starter_text

_HEAD = """\
# Experiment files

An experiment is a TOML file: what is swept, how runs are named and labelled, and which tables come out. Those that ship
lie in `paraphina_wh/experiments/specs/`; `paraphina-wh run --list` names them. Your own runs the same way:

```sh
paraphina-wh run --new my_sweep          # writes my_sweep.toml, commented
paraphina-wh run my_sweep.toml --dry-run # the grid, run by run
paraphina-wh run my_sweep.toml           # repeat it after any interruption: finished runs are not run again
```

What is wrong in a file is answered with file, line and key. The JSON Schema is
[schema/experiment.schema.json](schema/experiment.schema.json), for editors that check while typing.

- A run is its label: profile, every swept variable, repeat. Editing the grid runs only what is new.
- Repeats get drawn seeds of their own, so that they are evidence; `seed = "none"` makes them identical copies
  ([sweeps.md](sweeps.md), seeds).
- Nothing but the knobs of the file reaches the engine: `PARAPHINA_*` variables of the shell do not.
- Labels of runs with telemetry are shared by all experiments of a warehouse: begin `run_name` with the experiment.
"""


def schema_text() -> str:
    """Return the JSON Schema of an experiment file."""
    return json.dumps(msgspec.json.schema(Spec), indent=2) + "\n"


def reference_page() -> str:
    """Return the page."""
    schema = msgspec.json.schema(Spec)
    parts = [
        _HEAD,
        "## Keys\n",
        *_rows(schema["$defs"]["Spec"]),
        "\n## Ranges\n\nInstead of a list of values: `{ from = -40.0, to = 40.0, step = 20.0 }`.\n",
        *_rows(schema["$defs"]["Range"]),
        "\n## Tables\n\n`[[table]]`, as often as there are files.\n",
        *_rows(schema["$defs"]["Table"]),
        _columns(),
        "\n`[show]` says what is printed of the last grouped table.\n",
        *_rows(schema["$defs"]["Show"]),
        f"\n## An example\n\n```toml\n{starter_text('my_sweep')}```\n",
    ]
    return "\n".join(parts)


def _rows(struct: dict[str, Any]) -> Iterator[str]:
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for key, field in struct["properties"].items():
        default = "" if key in struct.get("required", ()) else _default(field)
        yield f"| `{key}` | {_type(field)} | {default} | {field.get('description', '').replace('|', chr(92) + '|')} |"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default in (None, [], {}) else f"`{json.dumps(default)}`"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        kinds = dict.fromkeys(_type(kind) for kind in field["anyOf"] if kind.get("type") != "null")
        scalar = ["text", "whole number", "number", "true/false"]
        if kinds.keys() >= set(scalar):
            kinds = {"value": None} | {kind: None for kind in kinds if kind not in scalar}
        return " or ".join(kinds)
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return f"{field['$ref'].rpartition('/')[2].lower()}"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object":
        return f"table of {_type(field['additionalProperties'])}"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true/false"}[field["type"]]


def _columns() -> str:
    return f"""
A column is `SOURCE` or `STATISTIC(SOURCE)`, renamed with `as NAME`: `mean(pnl_total)` is called `pnl_total_mean`,
`count() as runs` counts rows, `frac(risk_regime=HardLimit)` is the share of a text, `p5` a percentile. A `?` at the end
leaves a column out when it is empty in every row. In a grouped table a key may stand among the columns to have its
place; other keys come first.

- Statistics: {", ".join(f"`{name}`" for name in STATISTICS)}. Missing values are left out;
  `count()` counts failed runs too.
- Sources: label keys; the columns of the view `experiment_runs` (`paraphina-wh schema experiment_runs`);
  {" and ".join(f"`{name}`" for name in CAPTURED)}, the last 20 and 10 lines of what the engine printed.
- Every run has {", ".join(f"`{name}`" for name in BUILT_IN)} beside its variables.
"""


if __name__ == "__main__":
    sys.stdout.write(reference_page())
