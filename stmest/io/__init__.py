"""Files to containers: tables, fields and graphs in the layouts in which people keep them."""
