"""Intervals, tests and what follows from them: which models differ, how sure that is, and what it would take to know.

Numbers in, numbers out: nothing here knows records, files or torch.
"""

from benchmarks.stats.blocks import Contrast, holm
from benchmarks.stats.images import ImageInterval, McNemar, mcnemar
from benchmarks.stats.intervals import Ratio, mean_t_interval, median_interval, paired_ratio, wilson_interval
from benchmarks.stats.letters import compact_letters
from benchmarks.stats.pairs import Comparison, Pair, Run, compare_models
from benchmarks.stats.power import power_over_seeds, seeds_needed

__all__ = [
    "Comparison",
    "Contrast",
    "ImageInterval",
    "McNemar",
    "Pair",
    "Ratio",
    "Run",
    "compact_letters",
    "compare_models",
    "holm",
    "mcnemar",
    "mean_t_interval",
    "median_interval",
    "paired_ratio",
    "power_over_seeds",
    "seeds_needed",
    "wilson_interval",
]
