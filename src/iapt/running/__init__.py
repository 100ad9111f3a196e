"""From runs to reports: notebooks executed, every report whole or not at all."""

import sys

# nbformat asks for no check of international addresses, and jsonschema takes a second or two to read their grammar
sys.modules.setdefault("rfc3987_syntax", None)
