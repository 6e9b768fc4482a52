"""Files to containers: tables, fields and graphs in the forms in which people keep them."""
