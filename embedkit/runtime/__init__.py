"""A bundle loaded on this machine: what it computes, by what, and whether it keeps its promises."""
