"""Routes as CSV files, in and out."""
