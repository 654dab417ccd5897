"""The command `mefuse`, and `python -m mefuse`: from its first import on, Ctrl-C is one word."""

_EXIT_INTERRUPTED = 130  # as mefuse.cli has it, which may not be there yet


def run() -> None:
    """Runs the command line and exits the process with its code."""
    try:
        from mefuse.cli import main
    except KeyboardInterrupt:
        raise SystemExit(_EXIT_INTERRUPTED) from None
    try:
        main(prog_name="mefuse")
    except SystemExit as ended:
        _leave_at_once(ended.code)
        raise


def _leave_at_once(code: object) -> None:
    """Ends the process where nothing is left to wait for.

    Taking the interpreter and its libraries apart takes a tenth of a second, for nothing: what has
    asked to be told of the end is told, and the system takes everything back.
    """
    import atexit
    import os
    import sys
    import threading

    if not isinstance(code, int) or threading.active_count() > 1:
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # let Python tell of it
    os._exit(code)


if __name__ == "__main__":
    run()
