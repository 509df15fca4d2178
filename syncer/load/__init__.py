"""From a snapshot to a table that can be queried: databases, table formats, and statements for warehouses."""
