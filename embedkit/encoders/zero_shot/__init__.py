"""Classes by their names alone: pictures (or sounds) beside texts that name what may be in them."""
