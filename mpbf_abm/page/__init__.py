"""The page: explore a community and a what-if in the browser (``mpbf explore``, extra ``ui``)."""
