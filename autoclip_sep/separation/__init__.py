"""From what a network estimates to one waveform per source."""
