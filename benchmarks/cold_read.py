"""python -m benchmarks.cold_read: what head office and tills read most, with and without the cache.

`cold` is the answer after Valkey was emptied; then it is asked again and again. Where nothing is
cached, both are the same. The ratio of the cache is that of `benchmarks.cache`.
"""

import importlib.util
import json
import statistics
import subprocess
import sys
import time

import redis

from benchmarks import chain, load
from benchmarks.findings import CannotMeasureError, Findings, Ratio
from benchmarks.program import run_part
from benchmarks.rig import Rig, tell
from script.server_binaries import CHECKOUT

CONNECTIONS = 8
COLD_READS = 20
READS_MAX = 50_000
CACHE_PROGRAM = "benchmarks.cache"
CACHE_SECONDS_MAX = 300


def measure(rig: Rig) -> Findings:
    """Each list in turn, round by round."""
    findings = Findings("cold read")
    database = rig.database()
    product = rig.start_product(database, "web")
    client = redis.Redis.from_url(rig.redis_url)
    store = chain.code_of(1)
    key = chain.head_office_key_of(database.seller, 1)
    addresses = {
        "products": "/api/catalog/products/?limit=100",
        "stores": "/api/stores/?limit=100",
        "levels": f"/api/stock/levels/?store={store}&limit=100",
        "changes": f"/api/stock/changes/?store={store}&limit=100",
    }
    for nth in rig.scale.each_round:
        tell(f"cold read: round {nth} of {rig.scale.rounds} ...")
        for name, path in addresses.items():
            request = chain.write_get(path, key)
            findings.add(f"{name}_cold_ms", _measure_cold(client, product.port, request))
            loaded = load.send(
                product.port, [request] * READS_MAX, connections=CONNECTIONS,
                seconds=rig.scale.seconds / 3,
            )  # fmt: skip
            findings.add(f"{name}_per_s", loaded.per_second)
            findings.add(f"{name}_p99_ms", loaded.percentile_ms(0.99))
    findings.drop_first()
    client.close()
    product.stop()
    _ask_cache_program(rig, findings)
    return findings


def _measure_cold(client: redis.Redis, port: int, request: bytes) -> float:
    """The median of single reads, each after the cache was emptied."""
    took = []
    for _ in range(COLD_READS):
        client.flushdb()
        began = time.perf_counter()
        load.send(port, [request], connections=1, seconds=60)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _ask_cache_program(rig: Rig, findings: Findings) -> None:
    if importlib.util.find_spec(CACHE_PROGRAM) is None:
        findings.not_measured["cached_vs_constant"] = "there is no benchmarks.cache yet"
        return
    done = subprocess.run(
        [sys.executable, "-m", CACHE_PROGRAM, "--json"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=CACHE_SECONDS_MAX,
    )  # fmt: skip
    if done.returncode != 0:
        raise CannotMeasureError(f"{CACHE_PROGRAM} failed:\n{done.stderr.strip()[-500:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    value = float(told.get("ratios", told)["cached_vs_constant"])
    findings.ratios["cached_vs_constant"] = Ratio(value, value, value)


if __name__ == "__main__":
    sys.exit(run_part("cold_read", measure))
