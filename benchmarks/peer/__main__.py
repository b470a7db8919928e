"""python -m benchmarks.peer: the peer by itself, with as many processes as one may give it."""

import sys

from benchmarks.accept import make_sales
from benchmarks.findings import Findings
from benchmarks.peer.service import PeerMissingError, get_peer
from benchmarks.program import run_part
from benchmarks.rig import Rig, tell

CONNECTIONS = (8, 64)
SERVER_PROCESSES = (1, 2)
WORKERS = ((1, 50), (1, 100), (2, 50), (2, 100))  # processes, jobs at once in each
SALES_PER_S = 12_000


def measure(rig: Rig) -> Findings:
    """Accept and worker in each form; the other parts use the best of them."""
    findings = Findings("peer")
    try:
        peer = get_peer(rig)
    except PeerMissingError as error:
        findings.not_measured["peer"] = str(error)
        return findings
    servers = {count: peer.start_server(count) for count in SERVER_PROCESSES}
    seconds = rig.scale.seconds
    for nth in rig.scale.each_round:
        tell(f"peer: round {nth} of {rig.scale.rounds} ...")
        for processes, (port, _) in servers.items():
            for count in CONNECTIONS:
                sales = make_sales(rig.scale, int(SALES_PER_S * seconds))
                loaded = peer.accept(port, sales, count, seconds)
                findings.add(f"accept_{processes}_processes_c{count}_per_s", loaded.per_second)
        for processes, jobs in WORKERS:
            rate = peer.drain(make_sales(rig.scale, rig.scale.peer_jobs), processes, jobs)
            findings.add(f"drain_{processes}_processes_{jobs}_jobs_per_s", rate)
    findings.drop_first()
    for _, server in servers.values():
        peer.stop(server)
    return findings


if __name__ == "__main__":
    sys.exit(run_part("peer", measure))
