"""The pages around and in the reports."""

PAGES = tuple(
    f"{name}index.html" for name in ("", "method/", "glossary/", "sources/", "changes/", "downloads/")
)  # fmt: skip
"""The pages that every folder of reports has."""
