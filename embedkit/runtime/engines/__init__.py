"""The engines that run graphs: one file holds all that is known of one, and alone imports its package."""
