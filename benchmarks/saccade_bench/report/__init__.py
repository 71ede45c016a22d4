"""A benchmark's document for people: in the terminal, as Markdown, as a page with plots."""
