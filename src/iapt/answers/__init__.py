"""The questions of the notebooks, one module each: the figures, the sentences, the charts that answer them."""
