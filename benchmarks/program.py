"""How a part is run as a program: options, rig, what it prints, exit codes."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from benchmarks import report
from benchmarks.findings import CannotMeasureError, Findings
from benchmarks.rig import FULL, QUICK, TINY, Rig, Scale
from script.serve import SetUpError
from script.server_binaries import PrivateServerError

Measure = Callable[[Rig], Findings]


def run_part(name: str, measure: Measure, arguments: Sequence[str] | None = None) -> int:
    """Run one part and print it; returns 0 when there are numbers, 2 when there are none."""
    options = parse(f"python -m benchmarks.{name}", arguments)
    try:
        with Rig(scale_of(options), with_peer=not options.no_peer) as rig:
            findings = measure(rig)
            setting = report.read_setting(rig)
    except (CannotMeasureError, PrivateServerError, SetUpError, KeyboardInterrupt) as error:
        print(f"benchmarks.{name}: {str(error) or 'Stopped; no numbers.'}", file=sys.stderr)
        return 2
    print_findings(options, setting, [findings])
    return 0


def parse(program: str, arguments: Sequence[str] | None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(prog=program, allow_abbrev=False)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small: minutes, 1 million movements")
    size.add_argument("--tiny", action="store_true", help="a try-out; its numbers mean nothing")
    parser.add_argument("--no-peer", action="store_true", help="measure without the peer")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    return parser.parse_args(arguments)


def scale_of(options: Namespace) -> Scale:
    """The size that was asked for."""
    return QUICK if options.quick else TINY if options.tiny else FULL


def print_findings(
    options: Namespace, setting: report.Setting, findings: Sequence[Findings]
) -> None:
    """Tables for a person, or with --json one object on the last line."""
    if not options.json:
        print(report.write_text(setting, findings))
        return
    print(json.dumps(report.to_object(setting, findings)))
