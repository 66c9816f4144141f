"""Assemble the folder that is pushed to a Hugging Face Space.

python -m cluster.space.assemble FOLDER
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

from cluster.errors import StackError
from cluster.space.content import OWN, check_size, entries, left_out, read_checked
from cluster.space.front_matter import read_front_matter
from pipeline.text import few
from serve_app.paths import ROOT


def assemble(root: Path, folder: Path) -> str:
    """Write the folder anew from the repository at `root`, and return a line about it.

    The same repository gives the same files, byte for byte. Nothing is written before all of it
    has been checked. A `.git` in the folder stays, for those who push with git. Raise StackError.
    """
    contents = {entry.path: read_checked(entry) for entry in entries(root)}
    read_front_matter(contents["README.md"].decode())
    size = check_size(contents)
    _empty(folder)
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o644)
    return f"{folder}: {len(contents)} files, {size / 1e6:.1f} MB, sha256 {digest(contents)[:12]}"


def digest(contents: dict[str, bytes]) -> str:
    """Return the SHA-256 (hex) of the paths and the contents."""
    hashes = [f"{path}\0{hashlib.sha256(contents[path]).hexdigest()}" for path in sorted(contents)]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _empty(folder: Path) -> None:
    """Make the folder, or empty one that was assembled before. Raise StackError for another."""
    folder.mkdir(parents=True, exist_ok=True)
    content = [path for path in folder.iterdir() if path.name != ".git"]
    if content and not all((folder / name).is_file() for name in OWN):
        raise StackError(f"{folder} holds something else; name another folder, or empty it")
    for path in content:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="Assemble the folder of a Hugging Face Space.")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "out" / "space")
    folder: Path = parser.parse_args().folder
    try:
        print(assemble(ROOT, folder))
        if paths := left_out(ROOT):
            print(f"left out, because git does not track them: {few(paths)}", file=sys.stderr)
    except (StackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
