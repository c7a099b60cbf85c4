"""Command line of the reference engine: flags, stdout, stderr and exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from paraphina_wh.reference_engine.config import CONFIG_VERSION, PREFIX, PROFILES, EngineConfig, is_on, load_config
from paraphina_wh.reference_engine.record import RecordWriter
from paraphina_wh.reference_engine.simulator import Simulator
from paraphina_wh.reference_engine.telemetry_file import TelemetryFile

VERSION_TEXT = "paraphina 0.1.0-reference"
_U64_MAX = 2**64 - 1
_EXIT_BROKEN_STDOUT = 101


class _StoreOnce(argparse.Action):
    """Store a value; a repeated flag is an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"the argument '{option_string}' cannot be used multiple times")
        setattr(namespace, self.dest, values)


def _u64(text: str) -> int:
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 40 and int(digits) <= _U64_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is not an unsigned 64-bit number")
    return int(digits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paraphina",
        description="Reference market-making simulator.",
        allow_abbrev=False,
        # With a width of its own argparse need not load what finds out that of the terminal.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    add = parser.add_argument
    add("--ticks", type=_u64, action=_StoreOnce, metavar="N", help="number of synthetic ticks [default: 2000]")
    add("--profile", choices=PROFILES, action=_StoreOnce, help="risk preset [default: balanced]")
    add("--seed", type=_u64, action=_StoreOnce, metavar="N", help="random seed of the market")
    add("-v", "--verbose", action="count", default=0, help="print one line per tick")
    add("-V", "--version", action="version", version=VERSION_TEXT)
    return parser


def main(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run the engine once.

    Returns 0 for every completed run, killed or not; 101 when stdout cannot be written. Wrong usage leaves
    through SystemExit(2), help and version through SystemExit(0).
    """
    options = _parser().parse_args(argv)
    config, notes = load_config(options.profile, environ)
    for note in notes:
        _tell(note)
    try:
        _run(config, options, environ, _line_buffered_stdout())
    except OSError as error:
        _tell(f"failed printing to stdout: {error.strerror}")
        # What is left in the buffer must not raise a second time while the interpreter shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_BROKEN_STDOUT
    return 0


def _tell(note: str) -> None:
    if sys.stderr is not None:  # print() would fall back to stdout
        print(note, file=sys.stderr)


def _line_buffered_stdout() -> TextIO:
    """UTF-8, LF, and pushed out line by line: the banner of an interrupted run has left the process."""
    if sys.stdout is None:  # closed by the parent
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stdout.reconfigure(encoding="utf-8", newline="\n", line_buffering=True)  # type: ignore[union-attr]
    return sys.stdout


def _run(config: EngineConfig, options: argparse.Namespace, environ: Mapping[str, str], out: TextIO) -> None:
    ticks = 2000 if options.ticks is None else options.ticks
    _print_banner(config, ticks, options.seed, out)
    sim = Simulator(config, options.seed or 0, environ.get(PREFIX + "TRADE_MODE", ""))
    records = RecordWriter(sim, ticks, bridge=is_on(environ.get(PREFIX + "RL_TELEMETRY_BRIDGE", "")))
    telemetry = TelemetryFile(environ)
    for _ in range(ticks):
        sim.step()
        if telemetry.enabled:
            telemetry.write(records.render())
        if options.verbose:
            print(_tick_line(sim), file=out)
        if sim.risk.kill_switch:
            break
    telemetry.close()
    _print_summary(sim, out)


def _print_banner(config: EngineConfig, ticks: int, seed: int | None, out: TextIO) -> None:
    parts = (
        f"paraphina | cfg={CONFIG_VERSION}",
        f"cfg_hash=0x{config.hash_hex()}",
        f"profile={config.profile.capitalize()}",
        f"ticks={ticks}",
        f"seed={'none' if seed is None else seed}",
    )
    print(" | ".join(parts), file=out)


def _tick_line(sim: Simulator) -> str:
    fields = (
        f"q={_fixed(sim.q_global_tao, 4)}",
        f"Δ={_fixed(sim.dollar_delta_usd, 2)}",
        f"basis={_fixed(sim.basis_usd, 2)}",
        f"pnl={_fixed(sim.pnl_total_usd, 2)}",
        f"regime={sim.risk.regime}",
        f"kill={str(sim.risk.kill_switch).lower()}",
    )
    return f"tick {sim.t}: {' '.join(fields)}"


def _print_summary(sim: Simulator, out: TextIO) -> None:
    risk = sim.risk
    if risk.kill_switch:
        note = f"stopping simulation early (reason: {risk.kill_reason})."
        print(f"Kill switch active at tick {sim.t} - {note}", file=out)
    pnl = (sim.pnl_realised_usd, sim.pnl_unrealised_usd, sim.pnl_total_usd)
    print("\n=== Daily Summary ===", file=out)
    print(f"Daily PnL (realised / unrealised / total): {' / '.join(map(_signed, pnl))}", file=out)
    print(f"Kill switch: {str(risk.kill_switch).lower()}", file=out)
    if risk.kill_switch:
        print(f"Kill reason: {risk.kill_reason}", file=out)
    print(f"Risk regime: {risk.regime}", file=out)


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("nan", "NaN")


def _signed(value_usd: float) -> str:
    """Two decimals with the engine's signs: `+` whenever >= 0 (so a negative zero gives `+-0.00`), none for NaN."""
    return ("+" if value_usd >= 0.0 else "") + _fixed(value_usd, 2)
