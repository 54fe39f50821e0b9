"""What reads: settings, turned into plain checked data."""
