"""What the AutoClip paper reports, to lay beside our own.

Seetharaman, Wichern, Pardo, Le Roux: "AutoClip: Adaptive Gradient Clipping for Source Separation
Networks", MLSP 2020, arXiv:2007.14469.
"""

CORPUS = "wsj0_2mix"  # as configs/data names it
CORPUS_TITLE = "WSJ0-2mix"
NETWORK = "4 × 600"  # BLSTM layers × units per direction
ITERATIONS = 80_000  # 100 epochs of 800 batches
SEEDS = 1  # "the same seed for all"

PERCENTILES = (0, 1, 10, 25, 50, 90, 100)

# Table 1: SI-SDR in dB on the test set, by loss and percentile. p = 100 is no clipping.
TABLE_1: dict[str, dict[float, float]] = {
    loss: dict(zip(PERCENTILES, column, strict=True))
    for loss, column in {
        "deep_clustering": (10.7, 10.7, 10.8, 10.7, 10.7, 10.5, 10.2),
        "whitened_kmeans": (11.1, 11.2, 11.0, 11.0, 11.0, 11.0, 10.8),
        "mask_inference": (10.0, 10.3, 10.2, 9.9, 9.2, 8.7, 8.5),
        "chimera": (11.2, 11.3, 11.3, 11.3, 11.2, 11.1, 10.9),
        "snr": (9.9, 10.2, 10.4, 10.3, 9.9, 9.5, 8.3),
    }.items()
}

# Under Table 1: SI-SDR in dB of prior work, which clipped to thresholds found by hand.
STATIC_THRESHOLDS = {
    "deep_clustering": 10.2,
    "whitened_kmeans": 10.4,
    "mask_inference": 10.0,
    "chimera": 11.2,
}
