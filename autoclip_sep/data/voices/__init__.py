"""Real human speech out of packages of Debian's main archive."""
