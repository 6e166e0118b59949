"""What would become of a call that nobody makes: explained, or replayed over past calls."""
