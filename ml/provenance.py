"""Which code a result came from."""

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def source_code() -> dict[str, str]:
    """The git commit of this code, and whether files that git follows differ from it.

    `unknown` for both where there is no repository, as in an image.
    """
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    known = commit is not None and changed is not None
    return {"git_commit": commit.strip() if known and commit else UNKNOWN,
            "git_dirty": str(bool(changed)) if known else UNKNOWN}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
