"""WSJ0-mix and LibriMix, made from the recordings they are mixed of."""
