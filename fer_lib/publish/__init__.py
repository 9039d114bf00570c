"""From executed notebooks to the report: words, execution, rendering, sweeps."""
