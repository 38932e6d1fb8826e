"""Error rate and power of the rule of `compare_models`, on simulated sweeps with known truth.

`python -m benchmarks.stats.simulation` prints both, after the same of the regression gate (`gate_simulation`). The
made-up sweeps are like real ones of five epochs: Fashion-MNIST at 92.5%, two seeds of a model disagree on some 4.3% of
the test images and two models on some 6.5 to 7%. It found, for five models and five seeds: with no true difference some
pair told apart in 110 of 2,000 sweeps (by the seeds alone in 938); a model that is truly 0.3, 0.5, 0.7 or 1 point ahead
of the others is found ahead in 13, 50, 87 and 100% of its pairs. What limits it is the 10,000 test images: more seeds
change little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.stats import gate_simulation
from benchmarks.stats.images import NUM_RESAMPLES
from benchmarks.stats.pairs import ALPHA, Comparison, Run, compare_models
from fmnist_zoo.cli.parse import parse


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Distribution of runs: an image is classified correctly if a sum of normal variables is above 0.

    The sum has a part for the image (how hard it is for all), one for image and model (models err on different images;
    over all possible images, it favors no model), one for image and run, and shifts for the seed and for the run. The
    test images are drawn anew in each sweep, so models that are equal in the world still differ on any one test set.

    Attributes:
        top1_pct: accuracy over all possible images.
        image: standard deviation of the part of the image, in units of that of image and run.
        image_and_model: likewise.
        seed_shift_pct: standard deviation of a seed's effect on all models, in points.
        run_shift_pct: of a run's shift on all images alike, in points.
    """

    num_models: int = 5
    num_seeds: int = 5
    num_images: int = 10_000
    top1_pct: float = 92.5
    image: float = 3.5
    image_and_model: float = 1.3
    seed_shift_pct: float = 0.05
    run_shift_pct: float = 0.05

    def sweep(self, generator: np.random.Generator, *, ahead_pct: float = 0.0) -> dict[str, dict[int, Run]]:
        """One sweep's runs by model and seed; the first model, `m0`, is truly `ahead_pct` points ahead."""
        spread = float(np.sqrt(1 + self.image**2 + self.image_and_model**2))
        mean, ahead = (spread * float(stats.norm.ppf(pct / 100)) for pct in (self.top1_pct, self.top1_pct + ahead_pct))
        per_point = spread / (100 * float(stats.norm.pdf(mean / spread)))
        size = self.num_images
        hardness = self.image * generator.standard_normal(size, dtype=np.float32)
        seeds = self.seed_shift_pct * per_point * generator.standard_normal(self.num_seeds)
        runs: dict[str, dict[int, Run]] = {}
        for model in range(self.num_models):
            own = hardness + self.image_and_model * generator.standard_normal(size, dtype=np.float32)
            own += mean if model else ahead
            shifts = seeds + self.run_shift_pct * per_point * generator.standard_normal(self.num_seeds)
            noise = generator.standard_normal((self.num_seeds, size), dtype=np.float32)
            answers = own + shifts.astype(np.float32)[:, None] + noise > 0
            runs[f"m{model}"] = {
                seed: Run(top1_pct=100 * float(right.mean()), answers=right) for seed, right in enumerate(answers)
            }
        return runs


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedErrors:
    """Simulated sweeps: number with false differences, and share of true differences found.

    Attributes:
        num_wrong: sweeps with a wrong verdict for any pair.
        num_wrong_by_seeds: sweeps with a wrong verdict by seeds alone.
        power: share of pairs with the leading model in which it was found ahead; None without one.
    """

    num_sweeps: int
    num_wrong: int
    num_wrong_by_seeds: int
    power: float | None


def simulate(*, num_sweeps: int, ahead_pct: float = 0.0, world: World = World(), seed: int = 0) -> SimulatedErrors:
    """Draw sweeps and judge each by the rule.

    Args:
        num_sweeps: number.
        ahead_pct: points by which the first model is truly ahead of the others, which are all equal.
        world: distribution of runs.
        seed: of the draws.
    """
    wrong = wrong_by_seeds = found = 0
    for seeds_only, verdict in _judged(num_sweeps, ahead_pct, world, seed):
        equals = [pair for pair in verdict.pairs if not ahead_pct or pair.first != "m0"]
        wrong += any(pair.differs for pair in equals)
        by_seeds = {(pair.first, pair.second) for pair in seeds_only.pairs if (pair.adjusted_p or 0) < ALPHA}
        wrong_by_seeds += any((pair.first, pair.second) in by_seeds for pair in equals)
        found += sum(bool(pair.differs) and (pair.difference or 0) > 0 for pair in verdict.pairs if pair.first == "m0")
    return SimulatedErrors(
        num_sweeps=num_sweeps,
        num_wrong=wrong,
        num_wrong_by_seeds=wrong_by_seeds,
        power=found / (num_sweeps * (world.num_models - 1)) if ahead_pct else None,
    )


def _judged(num_sweeps: int, ahead_pct: float, world: World, seed: int) -> Iterator[tuple[Comparison, Comparison]]:
    """Each sweep by seeds alone and by the full rule; without a difference over seeds, no bootstrap."""
    generator = np.random.default_rng(seed)
    for _ in range(num_sweeps):
        models = world.sweep(generator, ahead_pct=ahead_pct)
        bare = {name: {seed: Run(top1_pct=run.top1_pct) for seed, run in runs.items()} for name, runs in models.items()}
        by_seeds = compare_models(bare)
        some = any((pair.adjusted_p or 0) < ALPHA for pair in by_seeds.pairs)
        yield by_seeds, compare_models(models) if some else by_seeds


def main(*, num_sweeps: int = 2000, seed: int = 0) -> None:
    """Simulate sweeps with known truth: how often the rules for "better" and "regressed" are wrong, and their power.

    Args:
        num_sweeps: Sweeps without a true difference; a quarter as many with each of four true differences.
        seed: Seed of the draws.
    """
    if num_sweeps < 4:
        raise SystemExit(f"error: --num-sweeps {num_sweeps} must be at least 4")
    for line in gate_simulation.table():
        print(line, flush=True)
    world = World()
    null = simulate(num_sweeps=num_sweeps, seed=seed)
    print(
        f"{world.num_models} models x {world.num_seeds} seeds x {world.num_images:,} test images, "
        f"{NUM_RESAMPLES:,} resamples; no model truly better: some pair told apart in {null.num_wrong} of "
        f"{null.num_sweeps:,} sweeps ({null.num_wrong_by_seeds:,} by the seeds alone)"
    )
    for ahead_pct in (0.3, 0.5, 0.7, 1.0):
        outcome = simulate(num_sweeps=num_sweeps // 4, ahead_pct=ahead_pct, seed=seed)
        print(f"one model truly {ahead_pct} points ahead: found in {outcome.power:.0%} of its pairs")


if __name__ == "__main__":
    parse(main, None, "benchmarks.stats.simulation", examples=("", "--num-sweeps 200"))
