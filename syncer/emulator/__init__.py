"""A local stand-in for the API, written from its documentation alone; imports nothing of the rest."""
