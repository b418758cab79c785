"""Audio files: reading, writing, resampling, and the formats that libsndfile lacks."""
