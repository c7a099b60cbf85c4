"""`summary` and `export` on the command line, from one run of six ticks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.warehouse import locate
from tests.conftest import Invoke


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """Return a ROOT whose warehouse holds the tiny run."""
    warehouse = locate(tmp_path_factory.mktemp("tiny"))
    ingest_paths(warehouse, [tiny_run], Options(experiment="tiny"))
    return warehouse.root


@pytest.fixture(autouse=True)
def _tiny_run_in_the_warehouse(tmp_path: Path, tiny_root: Path) -> None:
    shutil.copytree(tiny_root, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize(
    "command",
    [
        *(f"export {what} -o" for what in ("dataset", "alignment", "evidence", "summary", "runs --experiment tiny")),
        "export dataset --dataset",
        "dataset restore v001 -o",
        "run exp11 --out-dir",
        "run exp13 --runs-per-profile 1 --ticks 5 --dataset",
    ],
)
def test_nothing_is_written_into_the_warehouse(invoke: Invoke, tmp_path: Path, command: str) -> None:
    invoke("export", "dataset")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "warehouse").rglob("*.parquet")}
    result = invoke(*command.split(), "warehouse/FORMAT")
    assert "warehouse/FORMAT" in result.stderr
    assert result.exit_code in (1, 2)
    assert (tmp_path / "warehouse" / "FORMAT").read_text().startswith("1\n")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "warehouse").rglob("*.parquet")} == before


def test_what_is_sealed_is_not_written_over(invoke: Invoke, tmp_path: Path) -> None:
    invoke("export", "dataset")
    invoke("dataset", "seal", "v001")
    content = (tmp_path / "research_dataset_v001.jsonl").read_bytes()
    for command in ("export dataset -o", "export summary -o", "dataset restore v001 -o"):
        result = invoke(*command.split(), "research_dataset_v001.jsonl")
        assert result.stderr.splitlines() == [
            "error: research_dataset_v001.jsonl is sealed: nothing is written over it",
            "hint: write to another file",
        ]
        assert result.exit_code == 2
    assert (tmp_path / "research_dataset_v001.jsonl").read_bytes() == content


def test_export_all_writes_every_artefact_to_its_path(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("export", "all")
    assert result.stdout.splitlines() == [
        "research_dataset_v001.jsonl",
        "runs/exp11_research_alignment/exp11_alignment.csv",
        "runs/exp11_research_alignment/exp11_evidence.csv",
        "runs/research_summary/research_summary.txt",
        "runs/tiny/tiny_runs.csv",
    ]
    assert [line for line in result.stderr.splitlines() if line.startswith("left out")] == [
        "left out presets: no runs of exp04_risk_regime",
        "left out tuned-presets: no runs of exp04_risk_regime",
        "left out safe-region: no runs of exp04_multi_scenario",
        "left out world-model: no runs of exp04_risk_regime",
    ]
    assert result.exit_code == 0
    row = json.loads((tmp_path / "research_dataset_v001.jsonl").read_text())
    assert [row[name] for name in ("final_pnl", "max_pnl", "min_pnl", "max_drawdown")] == [98.0, 198.0, -102.0, 300.0]


def test_exporting_twice_gives_the_same_bytes(invoke: Invoke, tmp_path: Path) -> None:
    invoke("export", "all")
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert invoke("export", "all").exit_code == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_an_artefact_may_go_elsewhere(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("export", "dataset", "-o", "rows.jsonl").stdout == "rows.jsonl\n"
    assert json.loads((tmp_path / "rows.jsonl").read_text())["profile"] == "balanced"
    assert not (tmp_path / "research_dataset_v001.jsonl").exists()
    assert invoke("export", "runs", "--experiment", "tiny", "-o", "runs.csv").stdout == "runs.csv\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all", "-o", "x"], "`all` writes several files: leave out -o"),
        (["runs", "-o", "x"], "one file holds the runs of one experiment: name it with --experiment"),
    ],
)
def test_several_artefacts_do_not_fit_one_file(invoke: Invoke, arguments: list[str], message: str) -> None:
    result = invoke("export", *arguments)
    assert result.stderr == f"error: {message}\nhint: paraphina-wh export --help\n"
    assert result.exit_code == 2


def test_the_summary_in_its_forms(invoke: Invoke) -> None:
    invoke("export", "dataset")
    table = invoke("summary")
    assert table.stdout.startswith("=== Global summary ===\nRuns:          1\nfinal_pnl     mean=     98.00")
    shown = json.loads(invoke("summary", "--format", "json").stdout)
    assert (shown["global"]["n_runs"], shown["runs"][0]["utility"]) == (1, 98.0 - 0.5 * 300.0)
    sections = [json.loads(text)["section"] for text in invoke("summary", "--format", "jsonl").stdout.splitlines()]
    assert sections == ["global", "profiles", "runs"]


def test_a_summary_without_a_dataset_exits_2(invoke: Invoke) -> None:
    result = invoke("summary")
    assert result.stderr.startswith("error: cannot read ")
    assert result.exit_code == 2
