"""One cell: its string, code, index, class and cost. No torch here."""
