"""`python -m gateway.cli`, for where the command is not on the path."""

from gateway.cli import main

main()
