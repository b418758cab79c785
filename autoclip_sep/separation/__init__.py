"""Networks' estimates to one waveform per source."""
