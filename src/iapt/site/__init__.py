"""The pages around and in the reports."""

PAGES = tuple(f"{folder}index.html" for folder in ("", "method/", "glossary/", "sources/", "changes/"))
"""The pages that every folder of reports has."""
