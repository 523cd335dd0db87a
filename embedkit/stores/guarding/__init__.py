"""What `guarded` does above every database, a matter a file: names that lead on, rows refused, filters finished."""
