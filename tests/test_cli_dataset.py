"""`dataset` on the command line: versions, seals, lists, differences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from paraphina_wh.export import export_dataset
from paraphina_wh.ingest import Options, ingest_paths
from paraphina_wh.warehouse import locate
from tests.conftest import Invoke
from tests.research_runs import write_lines

V001, V002 = "research_dataset_v001.jsonl", "research_dataset_v002.jsonl"


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """Return a ROOT whose dataset has the tiny run for its only row."""
    warehouse = locate(tmp_path_factory.mktemp("tiny"))
    ingest_paths(warehouse, [tiny_run], Options(experiment="tiny"))
    export_dataset(warehouse)
    return warehouse.root


@pytest.fixture(autouse=True)
def _tiny_run_in_the_dataset(tmp_path: Path, tiny_root: Path) -> None:
    shutil.copytree(tiny_root, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize("name", ["new", "seal", "list", "diff", "restore"])
def test_every_command_has_help_with_an_example(invoke: Invoke, name: str) -> None:
    result = invoke("dataset", name, "--help")
    assert f"Usage: paraphina-wh dataset {name}" in result.stdout
    assert f"\n  Example:\n    paraphina-wh dataset {name}" in result.stdout
    assert "..." not in invoke("dataset", "--help").stdout.partition("Commands:")[2]


def test_from_one_version_to_the_next(invoke: Invoke, tmp_path: Path) -> None:
    before = (tmp_path / V001).read_bytes()
    made = invoke("dataset", "new")
    assert (made.stdout, made.stderr, made.exit_code) == (f"{V002}\n", "", 0)
    assert invoke("export", "dataset").stdout == f"{V002}\n"
    assert (tmp_path / V002).read_bytes() == before == (tmp_path / V001).read_bytes()

    refused = invoke("export", "dataset", "--dataset", V001)
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert refused.stderr == (
        f"error: {V001} is an earlier version: {V002} lies beside it, and only the newest can be appended to\n"
        f"hint: leave out --dataset, or name {V002}\n"
    )


def test_a_sealed_dataset_is_read_but_not_appended_to(invoke: Invoke, tmp_path: Path) -> None:
    sealed = invoke("dataset", "seal", "v001")
    assert (sealed.stdout, sealed.stderr, sealed.exit_code) == (f"{V001}.sealed\n", "", 0)
    refused = invoke("export", "dataset", "--dataset", V001)
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert refused.stderr.startswith(f"error: {V001} is sealed: nothing more can be appended to it\nhint: ")

    assert json.loads(invoke("summary", "--format", "json").stdout)["global"]["n_runs"] == 1
    assert invoke("export", "dataset").stdout == f"{V002}\n"


def test_the_list_in_its_forms(invoke: Invoke, tmp_path: Path) -> None:
    size = (tmp_path / V001).stat().st_size
    newest = json.loads((tmp_path / V001).read_text())["timestamp_utc"]
    rows = json.loads(invoke("dataset", "list", "--format", "json").stdout)
    assert rows == [
        {
            "dataset": "research_dataset_v001", "version": 1, "file": V001, "state": "open", "lines": 1, "runs": 1,
            "bytes": size, "newest_row": newest, "profiles": "balanced 1", "engines": "external 1",
        }
    ]  # fmt: skip
    assert invoke("dataset", "list", "--format", "csv").stdout == (
        "dataset,version,file,state,lines,runs,bytes,newest_row,profiles,engines\n"
        f"research_dataset_v001,1,{V001},open,1,1,{size},{newest},balanced 1,external 1\n"
    )
    table = invoke("dataset", "list")
    assert table.stdout.split()[:3] == ["dataset", "version", "file"]
    assert (table.stderr, table.exit_code) == ("", 0)


def test_an_edited_file_is_an_error_of_the_list_of_the_append_and_of_every_reader(
    invoke: Invoke, tmp_path: Path
) -> None:
    file = tmp_path / V001
    file.write_text(file.read_text().replace('"final_pnl": 98.0', '"final_pnl": 99.0'))
    edited = file.read_bytes()
    error = f"error: {file} was changed: line 1 is no longer what the warehouse holds of it\nhint: "

    listed = invoke("dataset", "list", "--format", "jsonl")
    assert json.loads(listed.stdout)["state"] == "changed: line 1"
    assert (listed.stderr.startswith(error), listed.exit_code) == (True, 1)
    for refused in (
        invoke("export", "dataset"),
        invoke("export", "alignment"),
        invoke("summary"),
        invoke("dataset", "diff", "v001", "v001"),
    ):
        assert (refused.stdout, refused.stderr.startswith(error), refused.exit_code) == ("", True, 1)

    restored = invoke("dataset", "restore", "v001")
    assert (restored.stdout, restored.exit_code) == (f"{V001}\n", 0)
    kept = restored.stderr.removeprefix("the edited file is kept as ").strip()
    assert (tmp_path / kept).read_bytes() == edited
    assert invoke("dataset", "list").exit_code == 0


def test_a_file_that_is_gone_is_a_warning_and_comes_back(invoke: Invoke, tmp_path: Path) -> None:
    before = (tmp_path / V001).read_bytes()
    (tmp_path / V001).unlink()
    listed = invoke("dataset", "list")
    assert listed.exit_code == 0
    assert listed.stderr == (
        "warning: research_dataset_v001: the file is gone;"
        " `paraphina-wh dataset restore research_dataset_v001` writes it back\n"
    )
    assert invoke("dataset", "restore", "v001", "-o", "copy.jsonl").stdout == "copy.jsonl\n"
    assert (tmp_path / "copy.jsonl").read_bytes() == before
    assert invoke("dataset", "restore", "v001").stdout == f"{V001}\n"
    assert (tmp_path / V001).read_bytes() == before
    again = invoke("dataset", "restore", "v001")
    assert again.stderr == f"{V001} holds all lines of the warehouse: left as it is\n"


def test_an_append_says_that_it_wrote_a_lost_file_back(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / V001).unlink()
    result = invoke("export", "dataset")
    assert f"warning: {V001} was gone: 1 lines written back from the warehouse\n" in result.stderr


def test_the_difference_is_one_object_in_json(invoke: Invoke, tmp_path: Path) -> None:
    run = {"profile": "balanced", "label": "new", "final_pnl": 100.0, "max_drawdown": 300.0, "kill_switch": False}
    write_lines(tmp_path / V002, [(tmp_path / V001).read_text().strip(), run, "not JSON"])
    result = invoke("dataset", "diff", "v001", "research_dataset_v002", "--level", "0.9", "--format", "json")
    made = json.loads(result.stdout)

    assert list(made) == ["runs", "metrics"]
    assert [(row["change"], row["line_no"], row["label"]) for row in made["runs"]] == [("added", 2, "new")]
    assert made["metrics"][0] == {
        "profile": "balanced", "metric": "final_pnl", "n_a": 1, "n_b": 2, "mean_a": 98.0, "mean_b": 99.0,
        "change": 1.0, "std_err": None, "low": None, "high": None, "is_clear": None, "pairs": 0,
    }  # fmt: skip
    assert (result.stderr, result.exit_code) == (f"warning: {V002}: 1 lines are no runs, left out\n", 0)


@pytest.mark.parametrize("style", ["table", "csv", "jsonl", "markdown"])
def test_the_difference_in_its_other_forms(invoke: Invoke, style: str) -> None:
    result = invoke("dataset", "diff", V001, V001, "--format", style)
    assert (result.stderr, result.exit_code) == ("", 0)
    assert "final_pnl" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["seal", "v007"], "cannot read {root}/research_dataset_v007.jsonl: No such file or directory"),
        (["seal"], "Missing argument 'DATASET'."),
        (["diff", "v001"], "Missing argument 'B'."),
        (["diff", "v001", "v009"], "cannot read {root}/research_dataset_v009.jsonl: No such file or directory"),
        (["diff", "v001", "v001", "--level", "95"], "95.0 is no confidence level"),
        (["restore", "study"], "the warehouse holds no lines of a dataset 'study'"),
        (["restore", "."], "the warehouse holds no lines of a dataset '{root.name}'"),
        (["seal", "runs"], "cannot read {root}/runs: No such file or directory"),
        (["seal", "warehouse"], "cannot read {root}/warehouse: Is a directory"),
        (["diff", "v001", "warehouse"], "cannot read {root}/warehouse: Is a directory"),
        (["lst"], "no command 'lst'; did you mean list?"),
    ],
)
def test_wrong_usage_exits_2(invoke: Invoke, tmp_path: Path, arguments: list[str], error: str) -> None:
    result = invoke("dataset", *arguments)
    assert (result.stdout, result.exit_code) == ("", 2)
    assert f"error: {error.format(root=tmp_path)}\n" in result.stderr
