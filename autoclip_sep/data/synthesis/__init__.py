"""Speech and music for the built-in corpora."""
