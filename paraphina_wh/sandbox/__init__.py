"""Where the SQL of others runs: what it may ask for, what it may use, and in which process."""
