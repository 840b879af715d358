"""`femtoward bench`: figures that a reader of the README can measure for himself, as ratios where machines differ."""
