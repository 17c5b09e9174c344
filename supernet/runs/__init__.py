"""A run directory is started, stopped, resumed and recorded here."""
