"""A run directory: started, stopped, resumed, recorded."""
