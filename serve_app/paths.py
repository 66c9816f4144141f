from pathlib import Path

# A clone, or the installed wheel: bundles and profiles lie beside the packages in both.
ROOT = Path(__file__).resolve().parent.parent
