"""One command a file; main.py imports only the one that is called."""
