"""Baseline against candidate: what runs of the same seeds prove, and the verdict promote, hold or reject.

A seed gives both sides the same market, so the difference of two runs of one seed varies less than the runs do. Bounds
are those of `bounds`, on the differences, in the order in which the seeds were drawn: they hold at every look.

The rule. A guardrail holds when it is proved, at `level`, that the candidate is not worse by the margin; it is broken
when it is proved that it is, all broken ones together with a chance of error of at most 1 - level.

- promote: all guardrails hold and the mean score is proved to be higher, at `level`. To promote wrongly, each of these
  proofs would have to be had, the wrong one among them: a chance of at most 1 - level.
- reject: a guardrail is broken.
- hold: neither, or the runs allow no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from paraphina_wh.evidence.bounds import Known, Values, mean, share

PROMOTE: Final = "promote"
HOLD: Final = "hold"
REJECT: Final = "reject"


@dataclass(frozen=True)
class Terms:
    """What a comparison assumes and measures by: sql/import/comparison_terms.sql."""

    worst_pnl_usd: float
    best_pnl_usd: float
    worst_drawdown_usd: float
    max_kill_prob: float
    lambda_dd: float
    lambda_kill: float
    margin_pnl_usd: float
    margin_drawdown_usd: float
    margin_kill_prob: float

    @property
    def pnl_span_usd(self) -> float:
        """The largest difference of two final PnLs."""
        return self.best_pnl_usd - self.worst_pnl_usd

    @property
    def score_span_usd(self) -> float:
        """The largest difference of two scores."""
        return self.pnl_span_usd + self.lambda_dd * self.worst_drawdown_usd + self.lambda_kill


@dataclass(frozen=True)
class Finding:
    """What the pairs say of one metric.

    baseline, candidate: means over the runs of the pairs that tell. difference: mean over the pairs that both tell of.
    lower, upper: bounds of the mean difference, each at `level`; of the candidate's own share for `kill_share`; None
    where there is no verdict. limit: what is bounded is held against it. pairs: those that both tell of.
    state: pass, fail or open: proved good, proved bad, neither. reason: what is proved; what is not, where it is open.
    """

    name: str
    baseline: float | None
    candidate: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    limit: float
    level: float
    pairs: int
    state: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """promote, hold or reject, and why. pairs: seeds looked at; holes: those of them that are not known in full."""

    decision: str
    reason: str
    level: float
    pairs: int
    holes: int
    guardrails: tuple[Finding, ...]
    criteria: tuple[Finding, ...]


def judge(pairs: pl.DataFrame, terms: Terms, space: int, level: float, open_because: str = "") -> Verdict:
    """Return the verdict on pairs of runs.

    pairs: in the order of the draw; columns: sql/import/paired_runs.sql. space: so many seeds there are.
    level: one-sided confidence. open_because: why the runs allow no verdict, whatever they say; bounds are None then.
    """
    if pairs.is_empty():
        open_because = open_because or "no seed in common"
    if beyond := int(pairs["beyond"].sum()):
        open_because = open_because or f"{beyond} values are beyond what is assumed: {assumption(terms)}"
    *guardrails, score = (
        _finding(pairs, claim, None if open_because else claim.known(pairs, space, level), level)
        for claim in _claims(terms, level)
    )
    decision, reason = (HOLD, open_because) if open_because else _decide(guardrails, score)
    holes = pairs.height - int(pairs["is_whole"].sum())
    return Verdict(decision, reason, level, pairs.height, holes, tuple(guardrails), (score,))


def assumption(terms: Terms) -> str:
    """Return what the bounds assume of every run."""
    return (
        f"a final PnL from {terms.worst_pnl_usd:,.0f} to {terms.best_pnl_usd:,.0f} usd, "
        f"a drawdown of at most {terms.worst_drawdown_usd:,.0f} usd"
    )


def _decide(guardrails: Sequence[Finding], score: Finding) -> tuple[str, str]:
    broken = [finding.reason for finding in guardrails if finding.state == "fail"]
    if broken:
        return REJECT, "; ".join(broken)
    if score.state == "fail":
        return HOLD, score.reason
    unproved = [finding.reason for finding in (*guardrails, score) if finding.state != "pass"]
    if unproved:
        return HOLD, f"not proved: {'; '.join(unproved)}"
    return PROMOTE, "; ".join(finding.reason for finding in (score, *guardrails))


@dataclass(frozen=True)
class _Claim:
    """What a promotion takes: that a quantity is on the good side of a limit.

    column: of the pairs, without its ending. span: the largest difference; None for a share. more_is_worse: which side
    is good. broken_at: the alpha at which the contrary is proved.
    """

    name: str
    column: str
    limit: float
    span: float | None
    more_is_worse: bool
    broken_at: float
    good: str
    bad: str

    def known(self, pairs: pl.DataFrame, space: int, level: float) -> Known:
        """Return what the pairs prove."""
        low, high = (_values(pairs, f"{self.column}_{end}") for end in ("low", "high"))
        if self.span is None:
            return share(low, high, self.limit, space, level)
        # A sum of rounded values must not leave the range by a hair.
        low, high = (np.clip(values, -self.span, self.span) for values in (low, high))
        # Above 0, not at it: of equal sides, all seeds of which were run, none is better.
        return mean(low, high, self.limit or math.ulp(0.0), (-self.span, self.span), space, level)

    def judged(self, known: Known | None, level: float) -> tuple[str, str]:
        """Return state and reason."""
        if known is not None:
            good, bad = (known.p_below, known.p_above) if self.more_is_worse else (known.p_above, known.p_below)
            # Both may have been proved in turn: what the pairs say more clearly counts.
            if good <= 1 - level and good < bad:
                return "pass", self.good
            if bad <= self.broken_at and bad < good:
                return "fail", self.bad
        return "open", self.good


def _claims(terms: Terms, level: float) -> list[_Claim]:
    """Return the guardrails and, last, the criterion of a promotion."""
    pnl, drawdown, kill = terms.margin_pnl_usd, terms.margin_drawdown_usd, terms.margin_kill_prob
    budget = terms.max_kill_prob
    # Each of the four guardrails may break: they share the error that the level allows.
    quarter = (1 - level) / 4
    return [
        _Claim(
            *("pnl", "pnl", -pnl, terms.pnl_span_usd, False, quarter),
            good=f"the final PnL is not lower by {pnl:,.6g} usd",
            bad=f"the final PnL is lower by more than {pnl:,.6g} usd",
        ),
        _Claim(
            *("drawdown", "drawdown", drawdown, terms.worst_drawdown_usd, True, quarter),
            good=f"the drawdown is not deeper by {drawdown:,.6g} usd",
            bad=f"the drawdown is deeper by more than {drawdown:,.6g} usd",
        ),
        _Claim(
            *("kill", "kill", kill, 1.0, True, quarter),
            good=f"kills are not more frequent by {kill:.6g}",
            bad=f"kills are more frequent by more than {kill:.6g}",
        ),
        _Claim(
            *("kill_share", "b_kill", budget, None, True, quarter),
            good=f"the kill probability of the candidate is within the budget of {budget:.6g}",
            bad=f"the kill probability of the candidate is above the budget of {budget:.6g}",
        ),
        _Claim(
            *("score", "score", 0.0, terms.score_span_usd, False, 1 - level),
            good="the score is higher",
            bad="the score is not higher",
        ),
    ]


def _values(pairs: pl.DataFrame, column: str) -> Values:
    return pairs[column].to_numpy().astype(np.float64)


def _finding(pairs: pl.DataFrame, claim: _Claim, known: Known | None, level: float) -> Finding:
    metric = claim.column.removeprefix("b_")
    baseline, candidate = (f"a_{metric}", f"b_{metric}")
    both = pairs.filter(pl.col(baseline).is_not_null() & pl.col(candidate).is_not_null())
    state, reason = claim.judged(known, level)
    return Finding(
        name=claim.name,
        baseline=_mean_of(pairs, baseline),
        candidate=_mean_of(pairs, candidate),
        difference=_mean_of(both, f"{metric}_low"),
        lower=known.lower if known else None,
        upper=known.upper if known else None,
        limit=claim.limit,
        level=level,
        pairs=both.height,
        state=state,
        reason=reason,
    )


def _mean_of(pairs: pl.DataFrame, column: str) -> float | None:
    told = pairs[column].drop_nulls().to_numpy()
    return math.fsum(told) / told.size if told.size else None
