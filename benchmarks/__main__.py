"""All parts, one after another, on the same servers. Run by script/bench."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import accept, apply, bound, cold_read, end_to_end, growth, report
from benchmarks.findings import CannotMeasureError, Findings
from benchmarks.peer import __main__ as peer
from benchmarks.program import Measure, parse, print_findings, scale_of
from benchmarks.rig import Rig, tell
from script.serve import SetUpError
from script.server_binaries import CHECKOUT, PrivateServerError

PAGE = CHECKOUT / "docs" / "benchmarks.md"
LOCAL_PAGE = Path(os.environ.get("LOCAL_DIR") or CHECKOUT / ".local") / "bench" / PAGE.name
PARTS: dict[str, Measure] = {
    "bound": bound.measure,
    "accept": accept.measure,
    "apply": apply.measure,
    "end to end": end_to_end.measure,
    "growth": growth.measure,
    "cold read": cold_read.measure,
}
# Only to see that the others use its best form; it takes minutes.
PARTS_OF_FULL: dict[str, Measure] = {"peer": peer.measure}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything; returns 0 when there are numbers, 2 when there are none."""
    options = parse("script/bench", arguments)
    scale = scale_of(options)
    tell(f"script/bench, {scale.name} size: {scale.about}.")
    findings: list[Findings] = []
    parts = PARTS | (PARTS_OF_FULL if scale.name == "full" else {})
    try:
        with Rig(scale, with_peer=not options.no_peer) as rig:
            setting = report.read_setting(rig)
            for name, measure in parts.items():
                began = time.monotonic()
                tell(f"== {name}")
                findings.append(_measure(name, measure, rig))
                # Who stops after half an hour keeps that half, beside the page.
                _write_page(setting, findings, LOCAL_PAGE)
                tell(f"== {name}: {time.monotonic() - began:.0f} s")
            movements = rig.check_books(rig.database())
            tell(f"All books are right: {movements:,} movements.")
    except (CannotMeasureError, PrivateServerError, SetUpError, KeyboardInterrupt) as error:
        print(f"script/bench: {str(error) or 'Stopped.'}", file=sys.stderr)
        return 2
    # The full form's page belongs to the repository, a smaller one to this machine.
    _write_page(setting, findings, PAGE if scale.name == "full" else LOCAL_PAGE)
    print_findings(options, setting, findings)
    return 0


def _write_page(setting: report.Setting, findings: Sequence[Findings], page: Path) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    judgement = report.read_judgement(PAGE.read_text()) if PAGE.exists() else ""
    page.write_text(report.write_page(setting, findings, judgement))
    tell(f"Written: {page}")


def _measure(name: str, measure: Measure, rig: Rig) -> Findings:
    """One part; what it cannot measure must not cost the numbers of the others."""
    try:
        return measure(rig)
    except CannotMeasureError as error:
        tell(f"{name}: {error}")
        return Findings(name, not_measured={name: str(error)})


if __name__ == "__main__":
    sys.exit(main())
