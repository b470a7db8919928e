"""How findings are told: as text, as one object for programs, and as docs/benchmarks.md."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks.findings import TARGETS, Findings, Ratio, Target
from benchmarks.rig import Rig, Scale
from script.server_binaries import CHECKOUT

PACKAGES = ("django", "djangorestframework", "psycopg", "celery", "granian", "orjson")
SETTINGS = (
    "shared_buffers", "fsync", "synchronous_commit", "full_page_writes", "wal_compression",
    "max_wal_size", "checkpoint_timeout", "autovacuum", "wal_level", "max_connections",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Where and on what the run took place."""

    scale: Scale
    machine: str
    versions: dict[str, str]
    database: dict[str, str]
    commit: str


def read_setting(rig: Rig) -> Setting:
    """Ask machine and servers; the role is that of product and peer."""
    with psycopg.connect(rig.postgresql.app_url) as connection:
        shown = {
            name: str((connection.execute(f"SHOW {name}").fetchone() or ["?"])[0])  # type: ignore[call-overload]
            for name in SETTINGS
        }
        postgresql = connection.info.parameter_status("server_version") or "?"
    client = redis.Redis.from_url(rig.redis_url)
    server: dict[str, Any] = client.info("server")  # type: ignore[assignment]
    client.close()
    valkey = server.get("valkey_version")
    name = "valkey" if valkey else "redis"
    versions = {"python": platform.python_version(), "postgresql": postgresql.split()[0]}
    versions |= {name: str(valkey or server.get("redis_version")), "node": _read_node()}
    versions |= {package: version(package) for package in PACKAGES}
    return Setting(rig.scale, _read_machine(), versions, shown, _read_commit())


def _read_machine() -> str:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = ""
    if (path := Path("/proc/cpuinfo")).exists():
        found = re.search(r"model name\s*: (.+)", path.read_text())
        cpu = f", {found.group(1)}" if found else ""
    return f"{os.cpu_count()} cores{cpu}, {gigabytes:.0f} GB, {platform.system()}"


def _read_node() -> str:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True)
    except OSError:
        return "none"
    return done.stdout.strip().removeprefix("v") or "none"


def _read_commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


# --- what is told -------------------------------------------------------------------------------


def to_object(setting: Setting, findings: Sequence[Findings]) -> dict[str, Any]:
    """For programs: `ratios` by the names of the targets; figures by part."""
    return {
        "ratios": {n: _round(r.median) for n, r in _all_ratios(findings).items()},
        "figures": {
            found.part: {name: _round(value) for name, value in found.medians.items()}
            for found in findings
        },
        "not_measured": _all_missing(findings),
        "scale": setting.scale.name,
        "commit": setting.commit,
    }


def write_text(setting: Setting, findings: Sequence[Findings]) -> str:
    """For a person at a terminal."""
    lines = [f"{setting.machine}; size {setting.scale.name}; commit {setting.commit}"]
    lines += [", ".join(f"{name} {of}" for name, of in setting.versions.items())]
    lines += [", ".join(f"{name}={of}" for name, of in setting.database.items())]
    for found in findings:
        lines += ["", found.part]
        lines += [f"  {name:<44} {_show(value):>12}" for name, value in found.medians.items()]
        lines += [f"  {note}" for note in found.notes]
    lines += ["", f"{'ratio':<32} {'median':>8} {'rounds':>16} {'at least':>9} {'aim':>6}"]
    ratios, missing = _all_ratios(findings), _all_missing(findings)
    for target in _targets_of(ratios, missing):
        lines.append(_write_row(target, ratios.get(target.name), missing.get(target.name, "")))
    lines += [f"{name}: not measured, {why}" for name, why in missing.items()]
    return "\n".join(lines)


def _write_row(target: Target, ratio: Ratio | None, why: str) -> str:
    if ratio is None:
        return f"{target.name:<32} not measured: {why}"
    rounds = f"{_show(ratio.low)}-{_show(ratio.high)}"
    return (
        f"{target.name:<32} {_show(ratio.median):>8} {rounds:>16}"
        f" {target.floor:>9g} {target.aim:>6g}  {judge(target, ratio.median)}"
    )


def judge(target: Target, value: float) -> str:
    """Where a ratio stands."""
    if value >= target.aim:
        return "aim reached"
    return "reached" if value >= target.floor else "not reached"


def _targets_of(ratios: dict[str, Ratio], missing: dict[str, str]) -> list[Target]:
    return [target for target in TARGETS if target.name in ratios or target.name in missing]


def _all_ratios(findings: Sequence[Findings]) -> dict[str, Ratio]:
    return {name: ratio for found in findings for name, ratio in found.ratios.items()}


def _all_missing(findings: Sequence[Findings]) -> dict[str, str]:
    return {name: why for found in findings for name, why in found.not_measured.items()}


def _round(value: float) -> float:
    return round(value, 3) if abs(value) < 1000 else round(value)


def _show(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# --- docs/benchmarks.md -------------------------------------------------------------------------


def write_page(setting: Setting, findings: Sequence[Findings], judgement: str = "") -> str:
    """The page of the full form. `judgement` is what a person wrote below the table; it is kept."""
    ratios, missing = _all_ratios(findings), _all_missing(findings)
    lines = [
        "# How fast it is", "",
        f"Written by `script/bench` ({setting.scale.name} size, commit {setting.commit}); how each"
        " part measures is in [benchmarks/README.md](../benchmarks/README.md).",
        "Client, web, worker, PostgreSQL and Valkey share the same cores. Absolute figures swing"
        " with the machine; ratios were measured in the same run, round by round.", "",
        f"Machine: {setting.machine}.", "",
        "Versions: " + ", ".join(f"{n} {v}" for n, v in setting.versions.items()) + ".", "",
        "PostgreSQL, the same for bound, peer and product: "
        + ", ".join(f"`{n}={v}`" for n, v in setting.database.items()) + ".", "",
        "## What is asked, and what was measured", "",
        "| ratio | median | lowest - highest | at least | aim | | |",
        "|---|---:|---:|---:|---:|---|---|",
    ]  # fmt: skip
    lines += [_write_page_row(target, ratios.get(target.name), missing) for target in TARGETS]
    lines += ["", JUDGEMENT_BEGINS, judgement.strip(), JUDGEMENT_ENDS]
    for found in findings:
        lines += ["", f"## {found.part.capitalize()}", "", "| figure | median |", "|---|---:|"]
        lines += [f"| {name} | {_show(value)} |" for name, value in found.medians.items()]
        lines += [""] + [f"{note}" for note in found.notes]
        lines += [f"{name}: not measured, {why}." for name, why in found.not_measured.items()]
    plans = {text: plan for found in findings for text, plan in found.plans.items()}
    lines += ["", "## Plans of the hot statements", ""]
    for text, plan in plans.items():
        lines += ["```sql", text.strip(), "```", "", "```", plan, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


JUDGEMENT_BEGINS = "<!-- written by hand; kept when the page is written anew -->"
JUDGEMENT_ENDS = "<!-- end -->"


def read_judgement(page: str) -> str:
    """What a person wrote on the page before."""
    _, _, rest = page.partition(JUDGEMENT_BEGINS)
    return rest.partition(JUDGEMENT_ENDS)[0].strip()


def _write_page_row(target: Target, ratio: Ratio | None, missing: dict[str, str]) -> str:
    if ratio is None:
        why = missing.get(target.name, "its part did not run")
        return (
            f"| `{target.name}` | not measured | | {target.floor:g} | {target.aim:g} |"
            f" {why} | {target.meaning} |"
        )
    return (
        f"| `{target.name}` | {_show(ratio.median)} | {_show(ratio.low)} - {_show(ratio.high)} |"
        f" {target.floor:g} | {target.aim:g} | {judge(target, ratio.median)} | {target.meaning} |"
    )
