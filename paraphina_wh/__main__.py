"""`python -m paraphina_wh`: the command line."""

from paraphina_wh.cli import main

# Worker processes import this module again: only the first process is a command.
if __name__ == "__main__":
    main()
