from pathlib import Path

# The folder that holds the packages, bundles and profiles, in a clone and in an installed wheel.
ROOT = Path(__file__).resolve().parent.parent
