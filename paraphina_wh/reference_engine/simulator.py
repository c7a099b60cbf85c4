"""The tick loop: market, fair value, risk, fills, exits, hedges, quotes, in this order."""

from __future__ import annotations

from paraphina_wh.reference_engine.config import EngineConfig
from paraphina_wh.reference_engine.fair_value import FairValue
from paraphina_wh.reference_engine.market import START_PRICE_USD, VENUE_IDS, Market
from paraphina_wh.reference_engine.quoting import Quote, QuotingLimits, make_quote
from paraphina_wh.reference_engine.reduction import run_exits, run_hedges
from paraphina_wh.reference_engine.risk import Event, Risk
from paraphina_wh.reference_engine.trading import Desk
from paraphina_wh.reference_engine.venue import Venue

_PAPER_MODES = ("paper", "p")
_TOXICITY_RESET_MODES = ("shadow", "safe", "s", "paper", "p", "testnet", "tn", "t")
_FLAT_TAO = 1e-9
_WARNING_SIZE_FACTOR = 0.5
_QUOTING_SHARE = 0.62  # of the delta limit: beyond, the side that adds to the inventory is not quoted


class Simulator:
    """State of one run. After step() it holds the final state of tick `t`, ready to be recorded."""

    def __init__(self, config: EngineConfig, seed: int, trade_mode: str = "") -> None:
        mode = trade_mode.strip().lower()
        self.config = config
        self.market = Market(seed, config.main_loop_interval_ms / 1000.0)
        self.fair = FairValue(config, self.market.books)
        self.risk = Risk(config, loss_kills=mode not in _PAPER_MODES)
        self.venues = [Venue(index) for index in range(len(VENUE_IDS))]
        self.desk = Desk(self.venues, seed)
        self.t = -1
        self._start_ms = self.now_ms = seed % 10000
        self._resets_toxicity = mode in _TOXICITY_RESET_MODES
        self.quotes: list[Quote] = []
        self.risk_events: list[Event] = []
        if not abs(config.init_q_tao) < _FLAT_TAO:
            self.venues[0].position_tao = config.init_q_tao
            self.venues[0].entry_usd = START_PRICE_USD
        self._mark()

    @property
    def pnl_realised_usd(self) -> float:
        """Realised PnL since the start of the run, net of fees."""
        return self.desk.pnl_realised_usd

    def step(self) -> None:
        """Run the next tick."""
        self.t += 1
        self.now_ms = self._start_ms + self.t * self.config.main_loop_interval_ms
        self._observe()
        if self._is_due(self.config.risk_loop_interval_ms):
            self.risk.evaluate(self.fair.vol_ratio, self.dollar_delta_usd, self.basis_usd, self.pnl_total_usd)
        self.desk.begin(self.t, self.now_ms, self.risk.regime)
        if self.risk.kill_switch:
            self.desk.cancel_everything()
        else:
            self._trade()
        self._quote()
        self._mark()
        self.risk_events = self.risk.events(
            self.now_ms, self.dollar_delta_usd, self.basis_usd, self.pnl_total_usd, self.venues
        )
        for venue in self.venues:
            venue.abs_position_mean_tao += (abs(venue.position_tao) - venue.abs_position_mean_tao) / (self.t + 1)

    def _is_due(self, interval_ms: int) -> bool:
        """True on the first tick and on each tick that reaches or passes a multiple of the interval."""
        elapsed_ms = self.t * self.config.main_loop_interval_ms
        before_ms = elapsed_ms - self.config.main_loop_interval_ms
        return elapsed_ms // interval_ms > before_ms // interval_ms

    def _observe(self) -> None:
        """Take in the new books, and let the takers meet the quotes that were open before this tick."""
        self.market.step()
        self.desk.match(self.market.takers)
        self.fair.update(self.market.books)
        for venue, book in zip(self.venues, self.market.books, strict=True):
            venue.observe(self.now_ms, book.mid_usd)
            if self._resets_toxicity:
                venue.toxicity = 0.0
        self._mark()

    def _trade(self) -> None:
        """Book fills, then exit and hedge, all on the cadence of the fill batch."""
        if not self._is_due(self.config.fill_agg_interval_ms):
            return
        self.desk.book_waiting()
        run_exits(self.desk, self.fair, self.market.books)
        if self._hedge_loop_ran():
            run_hedges(self.desk, self.config, self.fair, self.market.books)

    def _hedge_loop_ran(self) -> bool:
        """True if the hedge loop came due since the last fill batch: its orders leave with the batch."""
        elapsed_ms = self.t * self.config.main_loop_interval_ms
        batch_ms = max(self.config.fill_agg_interval_ms, self.config.main_loop_interval_ms)
        interval_ms = self.config.hedge_loop_interval_ms
        return elapsed_ms // interval_ms > (elapsed_ms - batch_ms) // interval_ms

    def _quote(self) -> None:
        q_tao = self.desk.q_global_tao
        limits = self._quoting_limits(q_tao)
        self.quotes = [
            make_quote(self.config, self.fair, venue, book, q_tao, limits)
            for venue, book in zip(self.venues, self.market.books, strict=True)
        ]
        if not self.risk.kill_switch:
            self.desk.keep_quotes(self.quotes)

    def _quoting_limits(self, q_tao: float) -> QuotingLimits:
        at_limit = abs(q_tao * self.fair.fair_usd) >= _QUOTING_SHARE * self.risk.delta_limit_usd
        return QuotingLimits(
            may_quote=self.risk.regime != "HardLimit",
            size_factor=_WARNING_SIZE_FACTOR if self.risk.regime == "Warning" else 1.0,
            may_buy=not (at_limit and q_tao > 0.0),
            may_sell=not (at_limit and q_tao < 0.0),
        )

    def _mark(self) -> None:
        """Value the positions: everything that is a sum over venues."""
        fair_usd = self.fair.fair_usd
        pairs = [(v, book.mid_usd - fair_usd) for v, book in zip(self.venues, self.market.books, strict=True)]
        self.q_global_tao = self.desk.q_global_tao
        self.dollar_delta_usd = self.q_global_tao * fair_usd
        self.basis_usd = sum((v.position_tao * basis for v, basis in pairs), 0.0)
        self.basis_gross_usd = sum((abs(v.position_tao) * abs(basis) for v, basis in pairs), 0.0)
        self.pnl_unrealised_usd = sum((v.position_tao * (fair_usd - v.entry_usd) for v in self.venues), 0.0)
        self.pnl_total_usd = self.pnl_realised_usd + self.pnl_unrealised_usd
