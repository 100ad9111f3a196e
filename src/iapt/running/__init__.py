"""From runs to reports: notebooks executed, every report whole or not at all."""

import sys

# JupyterLab brings this grammar of web addresses, which takes a second or two to compile; jsonschema imports it where it
# can, for a check that no notebook asks for
sys.modules.setdefault("rfc3987_syntax", None)
