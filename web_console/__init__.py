"""Pages that show what is stored and say what is silent and why; nothing is computed here."""
