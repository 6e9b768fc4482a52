"""Files that hold data and never code: tensors beside a JSON document, written all or not at all."""
