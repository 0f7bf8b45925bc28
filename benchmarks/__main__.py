"""Run the benchmarks named, or all of them, one after the other."""

import importlib
import pkgutil
import sys

import benchmarks


def main(names: list[str]) -> int:
    """Each benchmark is a module with a `main()` that prints its figures."""
    known = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__)
                   if not module.name.startswith("_"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"No benchmark `{unknown[0]}`; there are: {', '.join(known)}.", file=sys.stderr)
        return 2
    for name in names or known:
        print(f"== {name}")
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
