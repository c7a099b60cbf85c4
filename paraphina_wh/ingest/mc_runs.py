"""Runs of the Monte Carlo harness: strictly read, kept as a table of their own, never pooled with other runs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from paraphina_wh.errors import WarehouseError
from paraphina_wh.ingest.columnar import Columnar, convert, open_reader
from paraphina_wh.ingest.plan import Options, printable
from paraphina_wh.ingest.sinks import BadLineFile, ExtraFile
from paraphina_wh.ingest.sources import Source, is_held, put_in_place
from paraphina_wh.ingest.task import Outcome
from paraphina_wh.telemetry.reader import Ledger, Sinks, read_strict
from paraphina_wh.telemetry.shape import MC_RUNS
from paraphina_wh.telemetry.source import foreign_text, open_source
from paraphina_wh.warehouse import Warehouse


def take_in_mc_runs(
    warehouse: Warehouse, file: Path, options: Options, staging: Path, *, again: bool = False
) -> Outcome:
    """Take in a file of Monte Carlo runs as a source of `mc_runs`; the same content twice changes nothing.

    again: take in what the warehouse holds already: its lines may be judged otherwise now.
    The verdict on every line is that of `check`; with --on-error quarantine the good lines go in.
    Raises: WarehouseError when the file cannot be read, holds no run, or when the warehouse holds other content of
            the same file that is not to be replaced.
    """
    origin = printable(warehouse.relative(file))
    ledger, reasons = _strict_pass(file, origin, staging)
    how, hint = foreign_text(file) if ledger.quarantined > ledger.truncated else ("", "")
    if how:
        errors = [f"the file {how}", *reasons]
        return Outcome(file=origin, status="rejected", errors=errors, error_count=1 + ledger.errors, hint=hint)
    if ledger.quarantined > ledger.truncated and options.on_error == "reject":
        hint = "repair the file, or keep its good lines with --on-error quarantine"
        return Outcome(file=origin, status="rejected", errors=reasons, error_count=ledger.errors, hint=hint)
    if not ledger.rows:
        raise WarehouseError(f"{origin}: no complete record in the file", "look at what wrote it")
    outcome = _outcome(origin, ledger, reasons)
    source = Source("mc_runs", source_id_of(ledger), origin, ledger.sha256)
    if not again and is_held(warehouse, source, replace=options.replace):
        outcome.status = "unchanged"
        return outcome
    staged = _convert(ledger, origin, staging)
    put_in_place(warehouse, source, staged, quarantine=staging / "bad.jsonl" if ledger.quarantined else None)
    return outcome


def source_id_of(ledger: Ledger) -> str:
    """Return the identity of a file of Monte Carlo runs: 32 hex digits from its content and the lines put aside."""
    if not ledger.put_aside:
        return ledger.sha256[:32]
    return hashlib.sha256(f"{ledger.sha256} {ledger.put_aside}".encode()).hexdigest()[:32]


def _strict_pass(file: Path, origin: str, staging: Path) -> tuple[Ledger, list[str]]:
    with (
        ExtraFile(staging / "extra.arrow") as extra,
        BadLineFile(staging / "bad.jsonl", origin) as bad,
        (staging / "clean.jsonl").open("wb") as clean,
        open_source(file, may_be_cut=True) as stream,
    ):
        ledger = read_strict(stream, MC_RUNS, Sinks(bad, extra, clean))
    return ledger, bad.reasons


def _outcome(origin: str, ledger: Ledger, reasons: list[str]) -> Outcome:
    only_cut_tail = ledger.truncated and ledger.quarantined == 1
    # A shard starts anywhere: where it starts is no oddity here.
    warnings = [text for text in ledger.warnings() if not text.startswith("the first index")]
    return Outcome(
        file=origin,
        status="quarantined" if ledger.quarantined and not only_cut_tail else "ingested",
        bytes=ledger.bytes,
        lines=ledger.lines,
        quarantined=ledger.quarantined,
        cut_off=ledger.truncated,
        errors=reasons,
        error_count=ledger.errors,
        warnings=warnings,
        notices=[f"{ledger.rows} Monte Carlo runs"],
    )


def _convert(ledger: Ledger, origin: str, staging: Path) -> Path:
    """Write the accepted lines as Parquet, in the order of the file, and return it."""
    staged = staging / "mc_runs.parquet"
    with open_reader(spill=staging) as connection:
        convert(
            connection,
            Columnar(
                source=staging / "clean.jsonl",
                target=staged,
                longest_line=ledger.longest_line,
                constants={
                    "source_path": origin,
                    "source_sha256": ledger.sha256,
                    "ingested_at": datetime.now(UTC),
                },
                contract=MC_RUNS,
                extra=staging / "extra.arrow" if ledger.unknown else None,
            ),
        )
    return staged
