"""Ends on SIGTERM or SIGINT a program that has nothing to finish first, and would lose nothing by SIGKILL either."""

import logging
import os
import signal
import threading

ENDINGS = (signal.SIGTERM, signal.SIGINT)


def end_on_signals(log: logging.Logger) -> None:
    """From now on either signal ends the process with status 0, after a line in `log`, whatever it is doing.

    Call it before any thread is started, so that all of them leave the signals to the one that waits here. A handler
    would run wherever the main thread is: an exception from it may be swallowed there, or cut off the start of another
    thread, which the interpreter then waits for without end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    threading.Thread(target=_end, args=(log,), name="ending", daemon=True).start()


def _end(log: logging.Logger) -> None:
    number = signal.sigwait(ENDINGS)
    try:
        log.info("stops on %s", signal.Signals(number).name)
    finally:
        os._exit(0)
