"""A report as one HTML page, as Markdown, and as pictures: what it says, and the files that it is written to."""
