"""One file per question that is no solve."""
