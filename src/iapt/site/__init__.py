"""The pages around and in the reports."""

AROUND = {
    "method": "Data and method",
    "glossary": "Glossary",
    "sources": "Sources",
    "downloads": "Downloads",
    "changes": "What changed",
}
"""Pages of every site, by folder, with their titles; downloads only beside reports that are on the list of runs."""
OF_AREAS = {"areas": "All areas", "areas/compare": "Compare areas", "areas/map": "Map of areas"}
"""Pages of a site with reports of areas, by folder, with their titles."""
PAGES = ("index.html", *(f"{folder}/index.html" for folder in AROUND if folder != "downloads"))
"""The pages that every folder of reports has."""
