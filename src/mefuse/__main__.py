"""The command `mefuse`, and `python -m mefuse`: from its first import on, Ctrl-C is one word."""

_EXIT_INTERRUPTED = 130  # as mefuse.cli has it, which may not be there yet


def run() -> None:
    """Runs the command line and exits the process with its code."""
    try:
        from mefuse.cli import main
    except KeyboardInterrupt:
        raise SystemExit(_EXIT_INTERRUPTED) from None
    main(prog_name="mefuse")


if __name__ == "__main__":
    run()
