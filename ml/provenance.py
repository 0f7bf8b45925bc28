"""Which code a result came from."""

import os
import subprocess
from pathlib import Path

UNKNOWN = "unknown"
COMMIT = "SMILE_GIT_COMMIT"
"""Variable with the commit that an image was built of."""


def source_code() -> dict[str, str]:
    """The git commit of this code, and whether files that git follows differ from it.

    Where there is no repository, as in an image, the commit is what `COMMIT` says; `unknown` where
    nothing tells.
    """
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    known = commit is not None and changed is not None
    told = os.environ.get(COMMIT) or UNKNOWN
    return {"git_commit": commit.strip() if known and commit else told,
            "git_dirty": str(bool(changed)) if known else UNKNOWN}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
