"""From tidy rows to tables, charts and pages."""
