"""Equal tuning effort: the same number of trials for every model, on the validation images and never on the test."""
