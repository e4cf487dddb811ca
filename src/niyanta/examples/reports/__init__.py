"""Reports with charts from CSV files of any size."""
