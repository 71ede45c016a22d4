"""The page's plots: a module each, from a document to figures, none where the document has nothing to show."""
