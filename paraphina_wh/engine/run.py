"""Running engines: one, or a whole sweep in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Final

from paraphina_wh.engine.capture import keep
from paraphina_wh.engine.config import EngineRunConfig
from paraphina_wh.engine.plan import RunPlan, clean_environment, plan_runs
from paraphina_wh.engine.process import Launch, ProcessEnd, ProcessGroups, run_process
from paraphina_wh.engine.result import EngineRunResult, Metrics, RunStatus, find_problem
from paraphina_wh.engine.stdout import parse_metrics
from paraphina_wh.errors import WarehouseError
from paraphina_wh.interrupt import wake_from_waits

MetricsParser = Callable[[str], Mapping[str, float | bool | str]]

# The ways in which reading a text can fail. Anything else a parser raises is a bug and ends the sweep.
_PARSER_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    WarehouseError,
)


@dataclass(frozen=True)
class _Sweep:
    groups: ProcessGroups
    parse_metrics: MetricsParser
    timeout: float | None
    retries: int
    on_start: Callable[[str], object] | None
    on_end: Callable[[EngineRunResult], object] | None


def run_engine(
    config: EngineRunConfig,
    *,
    timeout: float | None = 600.0,
    retries: int = 0,
    parse_metrics: MetricsParser = parse_metrics,
) -> EngineRunResult:
    """Run one engine and return what came of it. As `run_many` with a single run."""
    return run_many([config], parse_metrics=parse_metrics, timeout=timeout, retries=retries)[0]


def run_many(
    configs: Iterable[EngineRunConfig],
    *,
    parse_metrics: MetricsParser = parse_metrics,
    jobs: int = 1,
    timeout: float | None = 600.0,
    retries: int = 0,
    on_result: Callable[[EngineRunResult], object] | None = None,
    on_start: Callable[[str], object] | None = None,
    on_end: Callable[[EngineRunResult], object] | None = None,
    inherit_env: bool = False,
    keep_texts: bool = True,
) -> list[EngineRunResult]:
    """Run the engines, `jobs` at a time, and return their results in the order of the configs.

    Each run gets the environment of this process without any `PARAPHINA_*`, plus its own knobs;
    inherit_env lets the known knobs of this process through, telemetry append excepted.
    timeout: seconds per attempt, None for no limit. retries: further attempts after a failed or timed-out
    one. on_result is called here, in this thread, as each run ends. In the thread of the run: on_start is told the
    run_id, before each attempt and before the files of an earlier run go; on_end is told the result at once, so that
    what it records outlives an interruption. keep_texts: without it stdout and stderr are empty in what is returned,
    so that a sweep of many talkative runs fits in memory; on_result and on_end have them.

    A run that fails or runs out of time is a result like any other. Ctrl-C, or an error of on_result, stops
    every engine and leaves nothing half-written; should this process be killed, its engines are too.
    Raises: WarehouseError (exit code 2), before the first run, when a config cannot run.
    """
    _check_limits(jobs, timeout, retries)
    plans = plan_runs(configs, inherit_env)
    with ThreadPoolExecutor(jobs) as pool, ProcessGroups() as groups:
        sweep = _Sweep(groups, parse_metrics, timeout, retries, on_start, on_end)
        # A run that has been reported is forgotten here, and its texts with it.
        positions = {pool.submit(_run, plan, sweep): position for position, plan in enumerate(plans)}
        results: dict[int, EngineRunResult] = {}
        wake_from_waits()
        for run in as_completed(positions):
            result = run.result()
            if on_result is not None:
                on_result(result)
            results[positions.pop(run)] = result if keep_texts else replace(result, stdout="", stderr="")
            wake_from_waits()  # on_result may have loaded Polars
    return [results[position] for position in range(len(plans))]


def _check_limits(jobs: int, timeout: float | None, retries: int) -> None:
    if jobs < 1:
        raise WarehouseError(f"jobs must be at least 1, not {jobs}", exit_code=2)
    if timeout is not None and not timeout > 0:
        raise WarehouseError(f"the timeout must be above 0 seconds, not {timeout}", exit_code=2)
    if retries < 0:
        raise WarehouseError(f"retries must be at least 0, not {retries}", exit_code=2)


def _run(plan: RunPlan, sweep: _Sweep) -> EngineRunResult:
    attempt = 1
    result = _attempt(plan, sweep, attempt)
    while result.status != "ok" and attempt <= sweep.retries:
        attempt += 1
        result = _attempt(plan, sweep, attempt)
    if sweep.on_end is not None:
        sweep.on_end(result)
    return result


def _attempt(plan: RunPlan, sweep: _Sweep, attempt: int) -> EngineRunResult:
    sweep.groups.refuse_when_stopping()  # before the files of an earlier run go
    if sweep.on_start is not None:
        sweep.on_start(plan.run_id)
    _clear(plan)
    end, stdout, stderr = _execute(plan, sweep)
    metrics: Metrics = {"timeout": True} if end.timed_out else _parse(sweep.parse_metrics, stdout)
    parse_error = metrics.get("metrics_parse_error")
    error = find_problem(end, stdout, plan.telemetry, plan.asked) or (
        f"metrics: {parse_error}" if parse_error else None
    )
    status: RunStatus = "timeout" if end.timed_out else "failed" if error else "ok"
    return EngineRunResult(
        run_id=plan.run_id,
        label=plan.label,
        cmd=plan.command,
        env=plan.overlay,
        returncode=end.returncode,
        duration_sec=end.duration_sec,
        started_at=end.started_at,
        stdout=stdout,
        stderr=stderr,
        metrics=metrics,
        status=status,
        error=error,
        telemetry_path=plan.telemetry,
        attempts=attempt,
    )


def _execute(plan: RunPlan, sweep: _Sweep) -> tuple[ProcessEnd, str, str]:
    """Run the process; return its end, its stdout and its stderr, both kept where the plan says."""
    launch = Launch(plan.command, clean_environment(plan.overlay), plan.cwd)
    try:
        end = run_process(launch, sweep.groups, sweep.timeout)
    except CancelledError:
        _clear(plan)  # telemetry written so far
        raise
    for ends, target in ((launch.stdout, plan.stdout), (launch.stderr, plan.stderr)):
        if target is not None:
            keep(ends.content(), target)
    return end, launch.stdout.text(), launch.stderr.text()


def _clear(plan: RunPlan) -> None:
    """Delete what an earlier run left: an engine may leave an old file untouched, which then looks new."""
    for path in plan.files():
        path.unlink(missing_ok=True)


def _parse(parser: MetricsParser, stdout: str) -> Metrics:
    try:
        return dict(parser(stdout))
    except _PARSER_ERRORS as error:
        return {"metrics_parse_error": f"{type(error).__name__}: {error}"}
