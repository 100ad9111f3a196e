"""Trends, forecasts and their evaluation, fair comparison: methods that know nothing of where their numbers come from."""
