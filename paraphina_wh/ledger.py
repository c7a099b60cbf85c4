"""The ledger row of a run, declared once: identity, provenance, stdout metrics and the account of its bytes.

A `runs` Parquet file holds these columns followed by those of the view `condensed_ticks`.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from paraphina_wh.telemetry.record import INT64_MAX, INT64_MIN, UInt64, unit
from paraphina_wh.telemetry.shape import Contract, column_types

_Int = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
# Text here and in records, ISO 8601 in UTC; a TIMESTAMPTZ in Parquet and in the views.
_Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class LedgerRow(msgspec.Struct, kw_only=True):
    """One event in the life of a run: it came in, or it was withdrawn."""

    event: Annotated[str, unit("-", "run: the run came in; withdrawn: it was taken out again")] = "run"
    run_id: Annotated[str, unit("-", "identity: profile, label, content and the lines put aside, hashed")]
    batch_id: Annotated[str, unit("-", "batch that committed the row; sorts by time")]
    supersedes: Annotated[str | None, unit("-", "run_id of the run this row takes out of the answers")] = None

    # identity
    run_name: Annotated[str | None, unit("-", "name of the run inside its experiment")] = None
    plan_key: Annotated[str | None, unit("-", "what was planned, hashed: a sweep resumes by it")] = None
    sweep_id: Annotated[str | None, unit("-", "equal for runs of one experiment that can be compared")] = None
    evidence_id: Annotated[str | None, unit("-", "content without label: equal for identical repeats")] = None
    profile: Annotated[str, unit("-", "risk profile")]
    label: Annotated[str, unit("-", "label of the run; JSON of the label keys for stdout runs")]
    label_json: Annotated[str | None, unit("-", "label keys as JSON text")] = None
    repeat: Annotated[_Int | None, unit("-", "repeat index")] = None
    seed: Annotated[UInt64 | None, unit("-", "seed of the run, unsigned 64 bit; null when none was passed")] = None
    seed_origin: Annotated[
        str | None, unit("-", "drawn at random, listed by somebody, or none was passed; null: nobody knows")
    ] = None
    seed_key: Annotated[str | None, unit("-", "name of the order a drawn seed is of, else null")] = None
    seed_index: Annotated[_Int | None, unit("-", "place of a drawn seed in the order, from 1")] = None
    seed_space: Annotated[_Int | None, unit("count", "seeds that were drawn from: 0 to this, exclusive")] = None
    seed_first: Annotated[_Int | None, unit("-", "place of the order from which its sweep drew on")] = None
    status: Annotated[str, unit("-", "ok, failed or timeout; withdrawn in withdrawals")] = "ok"
    error: Annotated[str | None, unit("-", "why the run failed")] = None
    end_known_by: Annotated[
        str | None,
        unit("-", "what proves the run whole: summary of stdout, kill, or ticks, as many as asked for; null: nothing"),
    ] = None

    # knobs that differ from the profile
    init_q_tao: Annotated[float | None, unit("tao", "initial inventory set; null = profile")] = None
    band_base: Annotated[float | None, unit("tao", "hedge band set; null = profile")] = None
    hedge_max_step: Annotated[float | None, unit("tao", "largest hedge step set; null = profile")] = None
    mm_size_eta: Annotated[float | None, unit("-", "size penalty set; null = profile")] = None
    vol_ref: Annotated[float | None, unit("frac/day", "reference volatility set; null = profile")] = None
    daily_loss_limit: Annotated[float | None, unit("usd", "loss limit set; null = profile")] = None
    knobs_json: Annotated[str | None, unit("-", "all PARAPHINA_* knobs set, as JSON text")] = None

    # provenance
    engine: Annotated[str | None, unit("-", "reference for the embedded engine, external, or null if unknown")] = None
    engine_path: Annotated[str | None, unit("-", "engine binary")] = None
    engine_version: Annotated[str | None, unit("-", "what the engine says of its version")] = None
    engine_sha256: Annotated[str | None, unit("-", "hash of the engine binary")] = None
    engine_commit: Annotated[str | None, unit("-", "git commit of the engine checkout")] = None
    cfg_version: Annotated[str | None, unit("-", "config release, from the stdout banner")] = None
    cfg_hash: Annotated[str | None, unit("-", "hash of profile and knobs, from the stdout banner")] = None
    command_json: Annotated[str | None, unit("-", "command line, as a JSON array")] = None
    ticks_requested: Annotated[_Int | None, unit("ticks", "ticks asked for")] = None
    started_at: Annotated[_Instant | None, unit("-", "start of the engine")] = None
    duration_sec: Annotated[float | None, unit("s", "wall time of the engine")] = None
    returncode: Annotated[_Int | None, unit("-", "return code of the engine; negative = signal")] = None
    attempts: Annotated[_Int | None, unit("count", "times the engine was started")] = None

    # stdout of the engine
    stdout_pnl_realised: Annotated[float | None, unit("usd", "realised PnL, 2 decimals")] = None
    stdout_pnl_unrealised: Annotated[float | None, unit("usd", "unrealised PnL, 2 decimals")] = None
    stdout_pnl_total: Annotated[float | None, unit("usd", "total PnL, 2 decimals")] = None
    stdout_kill_switch: Annotated[bool | None, unit("-", "kill switch of the summary")] = None
    stdout_kill_reason: Annotated[str | None, unit("-", "kill reason of the summary")] = None
    stdout_kill_tick: Annotated[_Int | None, unit("ticks", "tick of the kill line")] = None
    stdout_risk_regime: Annotated[str | None, unit("-", "final regime of the summary")] = None
    dq_stdout: Annotated[
        bool | None, unit("-", "stdout agrees with the last tick, to the cent; null: nothing to compare")
    ] = None
    stdout_usable: Annotated[bool | None, unit("-", "a PnL summary was found; null without stdout")] = None

    # the source and the account of its bytes
    telemetry_path: Annotated[str | None, unit("-", "telemetry file, relative to ROOT when below it")] = None
    source_bytes: Annotated[_Int | None, unit("bytes", "telemetry, decompressed")] = None
    source_sha256: Annotated[str | None, unit("-", "hash of the telemetry, or of the table, decompressed")] = None
    compressed_sha256: Annotated[str | None, unit("-", "hash of the compressed file; null for plain files")] = None
    stdout_sha256: Annotated[str | None, unit("-", "hash of the engine's stdout")] = None
    lines: Annotated[_Int | None, unit("count", "lines = rows + quarantined + blank")] = None
    rows: Annotated[_Int | None, unit("count", "lines that became ticks")] = None
    quarantined: Annotated[_Int | None, unit("count", "lines put aside")] = None
    blank: Annotated[_Int | None, unit("count", "blank lines")] = None
    row_bytes: Annotated[_Int | None, unit("bytes", "bytes of the rows")] = None
    quarantined_bytes: Annotated[_Int | None, unit("bytes", "bytes of the lines put aside")] = None
    blank_bytes: Annotated[_Int | None, unit("bytes", "bytes of the blank lines")] = None
    truncated: Annotated[bool | None, unit("-", "the last line was cut off")] = None
    unknown_fields: Annotated[str | None, unit("-", "undeclared fields as JSON: path -> first line, count, types")] = (
        None
    )
    warnings: Annotated[str | None, unit("-", "what was odd but allowed, as a JSON array")] = None
    source_kind: Annotated[
        str | None, unit("-", "telemetry; stdout; csv: a row of a table, seen by no engine here")
    ] = None
    source_path: Annotated[
        str | None, unit("-", "stdout log it came from, or table that tells of it, relative to ROOT when below it")
    ] = None
    source_row: Annotated[_Int | None, unit("-", "row of the table, from 1; null where none tells of the run")] = None

    # how it is stored
    metrics_definition: Annotated[
        str | None, unit("-", "what its metrics were computed by, hashed; null without ticks, or of an older version")
    ] = None
    stored_bytes: Annotated[_Int | None, unit("bytes", "size of the Parquet file of its ticks")] = None
    stored_sha256: Annotated[str | None, unit("-", "hash of the Parquet file of its ticks")] = None
    ingested_at: Annotated[_Instant | None, unit("-", "when it was condensed")] = None
    ingest_sec: Annotated[float | None, unit("s", "time the ingest of this file took")] = None


LEDGER = Contract("ledger", LedgerRow, "run_id")


def columns_as_told() -> str:
    """Return the select list of a ledger's columns as `LedgerRow` takes them: instants are texts.

    It takes the macros of the views.
    """
    return ", ".join(
        f'utc_text(TRY_CAST("{name}" AS TIMESTAMPTZ)) AS "{name}"' if kind == "TIMESTAMPTZ" else f'"{name}"'
        for name, kind in column_types(LEDGER).items()
    )


def run_id_of(profile: str, label: str, content_sha256: str, put_aside: str = "") -> str:
    """Return the identity of a run: 32 hex digits from profile, label, the hash of its content, and what was left out.

    put_aside: names the bad lines (Ledger.put_aside). What is told of a run_id never changes: content of which more
    can be read later is another run, which takes the place of this one with one rename.
    """
    return _digest(profile, label, content_sha256, *([put_aside] if put_aside else []))


def evidence_id_of(profile: str, content_sha256: str) -> str:
    """Return what identical repeats of a run share, whatever their label."""
    return _digest(profile, content_sha256)


def _digest(*parts: str) -> str:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") must differ.
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]
