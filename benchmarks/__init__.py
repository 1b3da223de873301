"""What regrow is measured with. A suite is a package of its own, run with `scripts/benchmark NAME`."""
