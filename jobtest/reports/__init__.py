"""What tells: readers of entries and summaries. They write files; they decide nothing and know no pytest."""
