"""Videos of any kind, transcoded segment by segment."""
