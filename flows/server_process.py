"""The process behind flows/local_server.py: Prefect's API alone, for as long as its parent lives.

Run as ``python -m flows.server_process FD``: FD is a listening socket, standard input a pipe
that the parent holds open. A killed parent closes it, so no server outlives its run.
"""

import os
import socket
import sys
import threading

import uvicorn
from prefect.server.api.server import create_app

LAST_WISHES_S = 5.0


def main() -> None:
    """Serve until standard input ends."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error", lifespan="on"))
    threading.Thread(target=_end_with_parent, args=[server], daemon=True).start()
    server.run(sockets=[listening])


def _end_with_parent(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    # What an ending server could not finish, it would tell at length on the terminal of a run
    # that has said its last line.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    server.should_exit = True
    threading.Event().wait(LAST_WISHES_S)
    os._exit(0)


if __name__ == "__main__":
    main()
