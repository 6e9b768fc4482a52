"""Networks: one paper, one file, built from layers."""
