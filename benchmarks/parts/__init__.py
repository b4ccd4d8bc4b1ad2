"""The parts of `make bench`: each measures some quantities of some candidates, in alternating rounds."""
