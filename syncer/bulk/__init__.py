"""Many users by id: which ids are meant, what is to be done, what was done, and doing it. Knows nothing of HTTP."""
