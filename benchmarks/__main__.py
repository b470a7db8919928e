"""All parts, one after another, on the same servers. Run by script/bench."""

import sys
import time
from collections.abc import Sequence

from benchmarks import accept, apply, bound, cold_read, end_to_end, growth, report
from benchmarks.findings import CannotMeasureError, Findings
from benchmarks.peer import __main__ as peer
from benchmarks.program import Measure, parse, print_findings, scale_of
from benchmarks.rig import Rig, tell
from script.serve import SetUpError
from script.server_binaries import CHECKOUT, PrivateServerError

PAGE = CHECKOUT / "docs" / "benchmarks.md"
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
            for name, measure in parts.items():
                began = time.monotonic()
                tell(f"== {name}")
                findings.append(measure(rig))
                tell(f"== {name}: {time.monotonic() - began:.0f} s")
            movements = rig.check_books(rig.database())
            tell(f"All books are right: {movements:,} movements.")
            setting = report.read_setting(rig)
    except (CannotMeasureError, PrivateServerError, SetUpError, KeyboardInterrupt) as error:
        print(f"script/bench: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    if scale.name == "full":
        judgement = report.read_judgement(PAGE.read_text()) if PAGE.exists() else ""
        PAGE.write_text(report.write_page(setting, findings, judgement))
        tell(f"Written: {PAGE.relative_to(CHECKOUT)}")
    print_findings(options, setting, findings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
