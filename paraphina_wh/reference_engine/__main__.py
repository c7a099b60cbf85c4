"""Entry point of `python -m paraphina_wh.reference_engine`."""

from __future__ import annotations

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Like the real engine, which handles no signal: an interrupt ends the process at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from paraphina_wh.reference_engine.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
