"""python -m examples.iowa: tell the product a month of a real chain, then check its books."""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from examples.iowa import following
from examples.iowa.api import Api
from examples.iowa.errors import CannotGoOnError
from examples.iowa.following import Follower
from examples.iowa.masters import read_masters
from examples.iowa.month import Month, SaleLine, plan_batches, read_month
from examples.iowa.progress import say
from examples.iowa.reconciling import reconcile, wait_until_applied
from examples.iowa.registering import register_all
from examples.iowa.report import find_faults, make_report
from examples.iowa.sending import Tally, send_at_rate, send_batches

MASTERS_DATE_DEFAULT = "2022-11-01"
BATCH_LINES_DEFAULT = 500
SENDERS_DEFAULT = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 when everything reconciles, 1 when not, 2 when it could not be run."""
    options = parse(arguments)
    try:
        return run(options)
    except CannotGoOnError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped. What was accepted stays; the next run sends the same ids again.")
        return 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.iowa", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with the published files (see README)")
    add("--month", type=read_month_name, required=True, help="such as 2022-10")
    add("--url", required=True, help="where the product is, such as http://127.0.0.1:8000")
    add("--key", required=True, help="a head-office key")
    add("--masters-date", type=read_date, default=MASTERS_DATE_DEFAULT, help="of the store file")
    add("--batch", type=read_count, default=BATCH_LINES_DEFAULT, help="lines a request")
    add("--senders", type=read_count, default=SENDERS_DEFAULT, help="threads that send")
    add("--resend", type=read_percent, default=0, metavar="PERCENT", help="send these again")
    add("--shuffle", type=int, metavar="SEED", help="send the lines in another order")
    add("--limit-lines", type=read_count, metavar="M", help="only the first M lines")
    add("--rate", type=read_count, metavar="N", help="one line a request, N a second")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Register, send, wait and reconcile; prints the report. Raises CannotGoOnError."""
    lines = read_month(options.data, options.month, options.limit_lines)
    masters = read_masters(options.data, options.masters_date)
    say(
        f"{options.month.name}: {len(lines):,} lines. Masters: {masters.texts_mended:,} texts "
        f"mended, {masters.codes_left_out:,} codes left out as no GTIN."
    )
    api = connect(options)
    register_all(api, masters, threads=options.senders)
    stores = sorted({store["code"] for store in masters.stores} | {line.store for line in lines})
    return send_and_check(api, options, lines, stores)


def send_and_check(
    api: Api, options: argparse.Namespace, lines: Sequence[SaleLine], stores: Sequence[str]
) -> int:
    """Send the lines and reconcile; prints the report and returns the exit code."""
    ahead = api.measure_clock()
    follower = Follower(api)
    with follower:
        sent, tally = send(api, options, lines, follower)
    stuck = wait_until_applied(api, sorted({x.store for x in lines}), threads=options.senders)
    seen_by = time.monotonic() - tally.started_at
    findings = reconcile(api, options.month, lines, stores, threads=options.senders)
    # Asking each store takes a while, so the server's own time of the last movement counts
    # where it is later than anything we saw ourselves.
    recorded_at = findings.last_recorded_at.timestamp() - ahead
    applied_at = max(tally.last_answer_at, follower.last_seen_at, recorded_at)
    report = make_report(lines, tally, follower, findings, applied_at)
    answered_s = max(tally.last_answer_at - tally.started_at, 0.001)
    say(
        f"Answered after {answered_s:.1f} s ({sent / answered_s:,.0f} a second), applied after "
        f"{report.seconds:.1f} s, found applied in every store after {seen_by:.1f} s."
    )
    faults = find_faults(report, tally, findings, sent=sent, stuck_stores=stuck)
    for fault in faults:
        say(fault)
    print(report.to_json(), flush=True)
    return 1 if faults else 0


def send(
    api: Api, options: argparse.Namespace, lines: Sequence[SaleLine], follower: Follower
) -> tuple[int, Tally]:
    """Send as the options say; returns how many events went out, and what became of them."""
    batches = plan_batches(
        lines,
        size=1 if options.rate else options.batch,
        resend_percent=options.resend,
        shuffle_seed=options.shuffle,
    )
    sent = sum(len(batch) for batch in batches)
    if not options.rate:
        return sent, send_batches(api, batches, senders=options.senders, follower=follower)
    singles = [line for batch in batches for line in batch]
    return sent, send_at_rate(
        api, singles, rate=options.rate, senders=options.senders, follower=follower
    )


def connect(options: argparse.Namespace) -> Api:
    """The API with this key, asked once who we are. Raises CannotGoOnError."""
    connections = options.senders + following.THREADS + (options.rate or 0) // 10
    api = Api(options.url, options.key, connections=connections)
    batch_max = api.introduce()["batch_events_max"]
    if options.batch > batch_max:
        raise CannotGoOnError(f"The server takes at most {batch_max} events in a batch.")
    return api


def read_month_name(text: str) -> Month:
    """A month such as 2022-10."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no month such as 2022-10") from error


def read_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def read_percent(text: str) -> int:
    """A whole number from 0 to 100."""
    if not text.isdecimal() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 100")
    return int(text)


def read_date(text: str) -> str:
    """A day as the names of the store files have it."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2022-11-01")
    return text


if __name__ == "__main__":
    sys.exit(main())
