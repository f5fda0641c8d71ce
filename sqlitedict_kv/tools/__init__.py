"""Work on whole stores: copies and diagnoses."""
