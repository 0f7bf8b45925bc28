"""Which of the addresses given as HOST:PORT take a connection from here: for a pod's Python."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def opens(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
    except OSError:
        return False
    return True


with ThreadPoolExecutor(len(sys.argv)) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(opens, sys.argv[1:]), strict=True))))
