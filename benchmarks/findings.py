"""What a part found: series of rounds, their medians, and the ratios the project asks for."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


class CannotMeasureError(Exception):
    """A part cannot be measured here; the text is one sentence for a person."""


@dataclass(frozen=True)
class Target:
    """A ratio with the least that is asked of it and what is aimed at."""

    name: str
    floor: float
    aim: float
    meaning: str


TARGETS = (
    Target("accept_single_vs_peer", 0.6, 1.0,
           "one sale a request, on disk before the answer, against the peer, which answers before"),
    Target("accept_single_asgi_vs_peer", 2.0, 3.0, "the same by the small application for it"),
    Target("accept_batch_vs_peer", 20, 40, "events in batches of 1,000 against the peer's accept"),
    Target("end_to_end_vs_peer_drain", 15, 25,
           "accepted and applied, in batches, against the peer's worker alone, with its index"),
    Target("end_to_end_vs_peer_under_load", 40, 80, "against the peer's worker under its own load"),
    Target("apply_vs_bound", 0.4, 0.6, "apply against the bound of ledger and levels"),
    Target("end_to_end_vs_bound", 0.25, 0.4, "end to end against the whole bound"),
    Target("apply_code_vs_bare_sql", 0.8, 0.9, "apply against its own statements, run bare"),
    Target("growth_apply", 0.75, 0.95, "apply on the largest ledger against the smallest"),
    Target("growth_read", 0.9, 1.0, "likewise, the worst of level, history page and changes page"),
    Target("replays_vs_none", 1.0, 1.5, "apply with 50 % replays against none"),
    Target("cached_vs_constant", 0.7, 0.9,
           "a cached list against the same view that answers a constant"),
)  # fmt: skip


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, these: Sequence[float], those: Sequence[float]) -> "Ratio":
        """Each round's rate over the same round's other rate, so that a slow minute hits both."""
        each = [one / other for one, other in zip(these, those, strict=True)]
        return cls(statistics.median(each), min(each), max(each))


@dataclass
class Findings:
    """What one part prints. A figure's name ends with its unit."""

    part: str
    ratios: dict[str, Ratio] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One round's value."""
        self.series.setdefault(name, []).append(value)

    def drop_first(self) -> None:
        """Forget the first round, which warmed everything up; a try-out has no other."""
        self.series = {name: values[1:] or values for name, values in self.series.items()}

    def compare(self, name: str, these: str, those: str) -> None:
        """The ratio of two series that were measured round by round."""
        self.ratios[name] = Ratio.of(self.series[these], self.series[those])

    @property
    def medians(self) -> dict[str, float]:
        """Every figure and the median of every series."""
        medians = {name: statistics.median(values) for name, values in self.series.items()}
        return medians | self.figures


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
