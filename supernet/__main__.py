"""`python -m supernet COMMAND ...` is `robust-supernet COMMAND ...`."""

from supernet.commands.program import main

if __name__ == "__main__":
    main()
