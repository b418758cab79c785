"""What check_data says of a corpus."""
