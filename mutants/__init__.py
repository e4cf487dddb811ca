"""The guards of the product, taken away one at a time: is there a test that notices? ``make mutants``."""
