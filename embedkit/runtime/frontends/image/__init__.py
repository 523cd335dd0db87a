"""From pictures to pixels."""
