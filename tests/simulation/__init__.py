"""Seeded crawls in virtual time against a fake service, judged by a checker that shares no code with the product."""
