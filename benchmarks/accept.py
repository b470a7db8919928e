"""python -m benchmarks.accept: sales a second into the inbox, on disk before each answer.

Web process and peer take turns; every request has its own event ids. Sales come with the keys of
all the tills of the chain: each request pays for the key, the validation and its till's limit.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks import chain, load
from benchmarks.findings import Findings
from benchmarks.peer.service import PeerMissingError, get_peer
from benchmarks.program import run_part
from benchmarks.rig import Database, Product, Rig, Scale, tell

CONNECTIONS = (8, 64)
RATIO_CONNECTIONS = 64
BATCHES = (100, 1_000)
WARM_SECONDS = 1.0
# Requests are made beforehand: for what was reached the last time and a half. Where they do not
# suffice, the measurement is shorter.
SINGLES_PER_S = 6_000
BATCH_EVENTS_PER_S = 40_000
MADE_BEYOND = 1.5
SERVERS_OF_SINGLES = {"web": "single", "accept": "single_asgi"}
NO_ASGI = "script/server starts no accept process yet"

Make = Callable[[int], list[bytes]]  # requests with so many events


@dataclass(frozen=True)
class Stage:
    """One kind of load: what is sent where, and how many events are in a request."""

    name: str
    port: int
    connections: int
    events: int
    make: Make


def measure(rig: Rig) -> Findings:
    """Each kind of load in turn, and all again in the next round."""
    findings = Findings("accept")
    database = rig.database()
    names = [name for name in SERVERS_OF_SINGLES if name in rig.commands_of(database)]
    product = rig.start_product(database, *names)
    stages = _list_stages(rig, database, product, names)
    try:
        peer = get_peer(rig)
        port, server = peer.start_server()
    except PeerMissingError as error:
        peer = None
        _miss_peer(findings, str(error))
    for nth in rig.scale.each_round:
        tell(f"accept: round {nth} of {rig.scale.rounds} ...")
        seconds = rig.scale.seconds if nth else min(WARM_SECONDS, rig.scale.seconds)
        for stage in stages:
            _measure_stage(findings, database, stage, seconds)
            if peer is not None and stage.name.startswith("single_c"):
                name = f"peer_c{stage.connections}"
                sales = make_sales(rig.scale, _count(findings, name, SINGLES_PER_S, seconds))
                loaded = peer.accept(port, sales, stage.connections, seconds)
                _add(findings, name, loaded, 1)
    findings.drop_first()
    product.stop()
    if peer is not None:
        peer.stop(server)
        _compare(findings, names)
    if "accept" not in names:
        findings.not_measured["accept_single_asgi_vs_peer"] = NO_ASGI
    return findings


def make_sales(scale: Scale, count: int, store_id: int | None = None) -> list[chain.Sale]:
    """New sales of this size of chain."""
    return chain.make_sales(count, scale.stores, scale.products, store_id=store_id)


def make_batches(
    rig: Rig, database: Database, events: int, batch: int
) -> tuple[list[bytes], list[list[chain.Sale]]]:
    """Requests with a batch each, of one store's till; busy stores send more of them."""
    of_stores = make_sales(rig.scale, max(1, events // batch))
    batches = [make_sales(rig.scale, batch, sale.store_id) for sale in of_stores]
    return [chain.write_batch(database.seller, sales) for sales in batches], batches


def make_mixed_batches(
    rig: Rig, database: Database, events: int, batch: int
) -> tuple[list[bytes], list[list[chain.Sale]]]:
    """Requests with a batch each, of head office for all stores: every event lies elsewhere."""
    batches = [make_sales(rig.scale, batch) for _ in range(max(1, events // batch))]
    requests = [
        chain.write_batch(database.seller, sales, of_head_office=nth)
        for nth, sales in enumerate(batches)
    ]
    return requests, batches


def _list_stages(
    rig: Rig, database: Database, product: Product, names: Iterable[str]
) -> list[Stage]:
    def make_singles(count: int) -> list[bytes]:
        return list(chain.write_singles(database.seller, make_sales(rig.scale, count)))

    def make_batches_of(batch: int) -> Make:
        return lambda count: make_batches(rig, database, count, batch)[0]

    def make_mixed(count: int) -> list[bytes]:
        return make_mixed_batches(rig, database, count, BATCHES[-1])[0]

    stages = [
        Stage(f"{SERVERS_OF_SINGLES[name]}_c{count}", product.port_of(name), count, 1, make_singles)
        for count in CONNECTIONS
        for name in names
    ]
    # The largest first: it is compared with the peer, which has just been measured.
    stages += [
        Stage(f"batch_{batch}_c{count}", product.port, count, batch, make_batches_of(batch))
        for batch in reversed(BATCHES)
        for count in CONNECTIONS
    ]
    return [*stages, Stage("batch_1000_of_all_stores_c8", product.port, 8, BATCHES[-1], make_mixed)]


def _count(findings: Findings, name: str, first: int, seconds: float) -> int:
    """How many events to make ready."""
    known = findings.series.get(f"{name}_events_per_s")
    return max(1, int(seconds * (MADE_BEYOND * known[-1] if known else first)))


def _measure_stage(findings: Findings, database: Database, stage: Stage, seconds: float) -> None:
    first = SINGLES_PER_S if stage.events == 1 else BATCH_EVENTS_PER_S
    requests = stage.make(_count(findings, stage.name, first, seconds))
    loaded = load.send(stage.port, requests, connections=stage.connections, seconds=seconds)
    _add(findings, stage.name, loaded, stage.events)
    # Nobody applies here: the inbox would only grow from load to load.
    rows = database.run("SELECT count(*) FROM orders_saleevent")[0][0]
    assert rows == loaded.requests * stage.events, "each answer was a row"
    database.run("TRUNCATE orders_saleevent", superuser=True)


def _add(findings: Findings, name: str, loaded: load.Loaded, events: int) -> None:
    findings.add(f"{name}_events_per_s", loaded.per_second * events)
    findings.add(f"{name}_p50_ms", loaded.percentile_ms(0.50))
    findings.add(f"{name}_p99_ms", loaded.percentile_ms(0.99))
    findings.add(f"{name}_client_cpu_share", loaded.cpu_share)


def _compare(findings: Findings, names: Iterable[str]) -> None:
    theirs = f"peer_c{RATIO_CONNECTIONS}_events_per_s"
    for name in names:
        ours = SERVERS_OF_SINGLES[name]
        findings.compare(
            f"accept_{ours}_vs_peer", f"{ours}_c{RATIO_CONNECTIONS}_events_per_s", theirs
        )
    findings.compare("accept_batch_vs_peer", "batch_1000_c8_events_per_s", theirs)
    findings.notes.append(
        f"Single sales are compared at {RATIO_CONNECTIONS} connections; batches at 8, with the"
        f" peer at {RATIO_CONNECTIONS}, where it accepts most."
    )


def _miss_peer(findings: Findings, why: str) -> None:
    for name in ("accept_single_vs_peer", "accept_single_asgi_vs_peer", "accept_batch_vs_peer"):
        findings.not_measured[name] = why


if __name__ == "__main__":
    sys.exit(run_part("accept", measure))
