"""`gateway serve` in forks of a process that has imported everything, so that a test can afford many starts.

Commands on standard input: `start PORT LOG` answers with a process id, `wait PID` with how that process ended.
"""

import os
import sys

import gateway.cli.serve  # noqa: F401 - it costs a second, once
from gateway.cli import main
from providers.tokens import encoding


def start(port: str, log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    with open(log, "ab", buffering=0) as file, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        main(["serve", "--port", port])
    finally:
        os._exit(1)
    return 0


if __name__ == "__main__":
    encoding()
    for line in sys.stdin:
        match line.split():
            case ["start", port, log]:
                print(start(port, log), flush=True)
            case ["wait", pid]:
                print(os.waitstatus_to_exitcode(os.waitpid(int(pid), 0)[1]), flush=True)
