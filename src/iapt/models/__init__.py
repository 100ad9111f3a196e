"""Statistical methods: trends, forecasts and their evaluation, fair comparison. They take numbers and know nothing of where these come from."""
