"""The embedded reference engine: a small market-making simulator with the engine's whole interface.

It takes the same flags and environment knobs as the real engine and answers with the same stdout, stderr, exit codes
and telemetry, so that the product works on a machine without that binary. Its market is invented: results are marked
`reference` everywhere and are no evidence about the real engine. Run it as `python -m paraphina_wh.reference_engine`.

    cli.py            flags, stdout, stderr, exit code; runs the ticks
    config.py         profiles, environment knobs, config hash
    market.py         the random market: prices, books, order flow (the only use of the seed besides rejects)
    fair_value.py     fair-value filter, volatilities, spread and size multipliers
    venue.py          what the engine knows about one venue: position, open orders, retained fills, toxicity
    quoting.py        the two-sided quotes of every venue
    trading.py        quote upkeep, fills, exits and hedges, and the order and fill entries they leave
    risk.py           limits, regime, kill switch, edge-triggered risk events
    simulator.py      one tick after the other: calls all of the above in order
    record.py         one tick -> one line of telemetry JSON
    telemetry_file.py the telemetry file and its life

Standard library only, and of that only what loads quickly (no dataclasses, no pathlib): many runs are so short that
starting the engine is most of what they cost.
"""
