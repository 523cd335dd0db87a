"""From sounds to samples, and to the energies of their bands."""
