"""The figures that bench/run prints. A function measures; it fails where the work was not really done."""
