"""The views on evidence run unmodified on Spark. Skipped where pyspark (extra `spark`) or Java is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from paraphina_wh.catalog import connect, view_files
from paraphina_wh.datasets import mirror_dataset
from paraphina_wh.warehouse import locate
from tests.research_runs import write_lines
from tests.test_evidence import drawn, listed, row, runs

VIEWS = ("risk_tiers", "engine_presets", "evidence_ranges", "evidence_settings", "evidence_units", "evidence")


def test_spark_gives_the_same_units_and_evidence(tmp_path: Path) -> None:
    spark_sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install '.[spark]'")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, and there is none on the PATH")
    warehouse = locate(tmp_path)
    cut = drawn(1, num_ticks=3, truncated=True, kill_switch=None)
    others = [row("aggressive"), row("aggressive", cfg_hash="x", evidence_id="e", seed=2**63)]
    mirror_dataset(warehouse, write_lines(tmp_path / "d.jsonl", [*runs(20, 3), *listed(5), cut, *others]))
    with connect(warehouse) as connection:
        connection.execute(f"COPY (FROM dataset_rows) TO '{tmp_path}/rows.parquet' (FORMAT parquet)")
        ours = {view: connection.sql(f"SELECT * FROM {view}").pl().to_dicts() for view in VIEWS}

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    builder = spark_sql.SparkSession.builder.master("local[2]").config("spark.sql.warehouse.dir", f"{tmp_path}/spark")
    spark = builder.config(map=settings).getOrCreate()
    try:
        spark.read.parquet(f"{tmp_path}/rows.parquet").write.saveAsTable("dataset_rows")
        for view in VIEWS:
            spark.sql(view_files()[view].read_text().rstrip().removesuffix(";"))
            theirs = [line.asDict() for line in spark.sql(f"SELECT * FROM {view}").collect()]
            assert [_texts(line) for line in theirs] == [_texts(line) for line in ours[view]], view
    finally:
        spark.stop()


def _texts(line: dict[str, object]) -> dict[str, str]:
    # Spark reads unsigned integers of 64 bits as decimals.
    return {name: str(value) for name, value in line.items()}
