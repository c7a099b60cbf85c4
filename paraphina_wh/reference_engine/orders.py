"""The order entries of one tick: what we wanted (intents) and what the venues answered (acks and rejects)."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from paraphina_wh.reference_engine.venue import OpenOrder, Venue

_REJECT_PROBABILITY = 0.0005  # of an immediate-or-cancel order that finds nothing to trade with

Entry = dict[str, Any]


def side_name(is_buy: bool) -> str:
    """Buy or Sell."""
    return "Buy" if is_buy else "Sell"


class OrderLog:
    """Collects the entries of one tick; begin() starts the next."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.begin(0, "Normal")

    def begin(self, t: int, regime: str) -> None:
        """Forget the last tick."""
        self._t, self._regime = t, regime
        self._next_id = 0
        self.intents: list[Entry] = []
        self.answers: list[Entry] = []

    def sorted_entries(self) -> tuple[list[Entry], list[Entry]]:
        """Return (would_send_orders, orders), both in the record's order."""
        intents = sorted(self.intents, key=_sort_key)
        return intents, sorted(intents + self.answers, key=_sort_key)

    def quote(self, venue: Venue, is_buy: bool, price_usd: float, size_tao: float, replaced: OpenOrder | None) -> str:
        """Place a resting quote, in place of another one when given. Returns the order id."""
        order_id = self._client_id(venue, "mm")
        terms = {"side": side_name(is_buy), "price": price_usd, "size": size_tao, "purpose": "Mm"}
        intent = terms | {"client_order_id": order_id, "tif": "Gtc", "post_only": True, "reduce_only": False}
        if replaced is None:
            self._intend("place", venue, order_id, intent)
        else:
            self._intend("replace", venue, order_id, intent | {"order_id": replaced.order_id})
            self._ack_cancel(venue, replaced.order_id)
        self._answer("ack", venue, order_id, terms)
        return order_id

    def take(self, venue: Venue, is_buy: bool, price_usd: float, size_tao: float, purpose: str) -> str | None:
        """Send an immediate-or-cancel order. Returns its id, None when the venue rejects it."""
        side = side_name(is_buy)
        terms = {"side": side, "price": price_usd, "size": size_tao, "purpose": purpose}
        action_id = f"place:{venue.index}:{side}:{_bits(price_usd)}:{_bits(size_tao)}"
        self._intend("place", venue, action_id, terms | {"tif": "Ioc", "post_only": False, "reduce_only": True})
        order_id = self._client_id(venue, purpose.lower())
        if self._is_rejected(venue, purpose):
            self._answer("reject", venue, order_id, terms | {"reason": "ioc_no_fill"})
            return None
        self._answer("ack", venue, order_id, terms)
        return order_id

    def _is_rejected(self, venue: Venue, purpose: str) -> bool:
        """Tell whether a venue rejects the immediate order that it gets on this tick for this purpose: at most one.

        Each has a generator of its own, so that an order more or less changes the fate of no other: two runs of one
        seed with other knobs part where the knobs make them part, and nowhere else.
        """
        return Random(f"gateway/{self._seed}/{self._t}/{venue.index}/{purpose}").random() < _REJECT_PROBABILITY

    def cancel(self, venue: Venue, order: OpenOrder) -> None:
        """Withdraw one resting quote."""
        self._intend("cancel", venue, order.order_id, {"order_id": order.order_id})
        self._ack_cancel(venue, order.order_id)

    def cancel_all(self, venue: Venue) -> None:
        """Withdraw everything on one venue."""
        self._intend("cancel_all", venue, f"cancel_all:{venue.index}:NA:0:0", {})
        self.answers.append(
            self._entry("cancel", "ack", venue, "cancel_all", {"order_id": "cancel_all", "venue_id": "all"})
        )

    def _intend(self, action: str, venue: Venue, action_id: str, known: Entry) -> None:
        self.intents.append(self._entry(action, "intent", venue, action_id, known))

    def _answer(self, status: str, venue: Venue, order_id: str, terms: Entry) -> None:
        known = terms | {"client_order_id": order_id, "order_id": order_id}
        self.answers.append(self._entry("place", status, venue, order_id, known))

    def _ack_cancel(self, venue: Venue, order_id: str) -> None:
        self.answers.append(self._entry("cancel", "ack", venue, order_id, {"order_id": order_id}))

    def _client_id(self, venue: Venue, kind: str) -> str:
        number = self._next_id
        self._next_id += 1
        return f"co_{self._t}_v{venue.index}_{kind}_{number}"

    def _entry(self, action: str, status: str, venue: Venue, action_id: str, known: Entry) -> Entry:
        """An entry has every key; what is not known is null."""
        return {
            "action": action,
            "action_id": action_id,
            "client_order_id": None,
            "order_id": None,
            "post_only": None,
            "price": None,
            "purpose": None,
            "reduce_only": None,
            "risk_regime": self._regime,
            "side": None,
            "size": None,
            "status": status,
            "tif": None,
            "venue_id": venue.venue_id,
            "venue_index": venue.index,
        } | known


def _bits(value: float) -> int:
    """The 64 bits of a double, as an unsigned number."""
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return bits


def _sort_key(entry: Entry) -> tuple[str, int, str, float, float, str, str]:
    # Doubles >= 0 sort like their bits.
    price, size = entry["price"] or 0.0, entry["size"] or 0.0
    return (
        entry["action_id"], entry["venue_index"], entry["side"] or "", price, size, entry["action"], entry["status"]
    )  # fmt: skip
