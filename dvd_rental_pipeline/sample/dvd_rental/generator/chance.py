"""Drawing from shares and weights."""

import numpy as np
from numpy.typing import NDArray


def some(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """A mask with `share` of `count` places set, at random; at least one, so that no case is ever missing."""
    mask = np.zeros(count, dtype=np.bool_)
    mask[rng.choice(count, size=min(count, max(1, round(count * share))), replace=False)] = True
    return mask


def popularity(rng: np.random.Generator, count: int, exponent: float) -> NDArray[np.float64]:
    """Weights that sum to 1 and fall with the rank as a power, in random order: few are loved, many are not."""
    weights = 1.0 / (np.arange(count) + 1 + count / 50) ** exponent
    shuffled: NDArray[np.float64] = rng.permutation(weights / weights.sum())
    return shuffled


def draw(
    rng: np.random.Generator,
    cumulative: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Indices by weight, each from its own stretch [low, high) of the cumulative weights."""
    at = low + rng.random(len(low)) * (high - low)
    found = np.searchsorted(cumulative, at, side="right")
    return np.minimum(found, len(cumulative) - 1).astype(np.int64)
