"""Erlang/OTP: two nodes. They find each other at a port both are told, without the daemon that would stay behind."""

from __future__ import annotations

import socket
import subprocess

from benchmarks.speed.subjects.erlang import command, compiled


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def main() -> None:
    folder = compiled()
    alone = ["-start_epmd", "false", "-erl_epmd_port", str(free_port()), "-setcookie", "benchmark"]
    server = command(folder, "server", "-sname", "server@localhost", *alone)
    caller = command(folder, "caller", "-sname", "caller@localhost", *alone, "-dist_listen", "false")
    with subprocess.Popen(server, stdin=subprocess.PIPE):
        subprocess.run(caller, check=True)


if __name__ == "__main__":
    main()
