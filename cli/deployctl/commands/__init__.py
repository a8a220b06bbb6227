"""One file a verb, thin: parse, call, show. `show` is the one place that prints, `main` the one that exits."""
