"""From runs to reports: notebooks executed, every report whole or not at all."""
