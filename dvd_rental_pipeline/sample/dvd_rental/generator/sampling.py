"""Random draws by share and by weight."""

import numpy as np
from numpy.typing import NDArray


def random_mask(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """Return a mask of `count` elements with a random `share` set; at least one, so that each case occurs."""
    mask = np.zeros(count, dtype=np.bool_)
    mask[rng.choice(count, size=min(count, max(1, round(count * share))), replace=False)] = True
    return mask


def power_law_weights(rng: np.random.Generator, count: int, exponent: float) -> NDArray[np.float64]:
    """Return weights that sum to 1 and follow a power law of the rank, in random order."""
    weights = 1.0 / (np.arange(count) + 1 + count / 50) ** exponent
    shuffled: NDArray[np.float64] = rng.permutation(weights / weights.sum())
    return shuffled


def draw_weighted(
    rng: np.random.Generator,
    cumulative: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw indices by weight, each from its own range [low, high) of the cumulative weights."""
    position = low + rng.random(len(low)) * (high - low)
    indices = np.searchsorted(cumulative, position, side="right")
    return np.minimum(indices, len(cumulative) - 1).astype(np.int64)
