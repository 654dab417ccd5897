"""`python -m mefuse`: the same as the command `mefuse`."""

from mefuse.cli import main

if __name__ == "__main__":
    main(prog_name="mefuse")
