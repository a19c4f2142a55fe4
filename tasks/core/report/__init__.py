"""A run's report: held to its contract, then shown as a page, on a terminal, in Markdown."""
