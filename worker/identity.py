"""Who a worker is, to the ledger."""

import socket


def worker_id_prefix(pid: int) -> str:
    """Give what the owners of all leases of a process on this machine begin with."""
    return f"{socket.gethostname()}:{pid}:"
