#!/usr/bin/env python3
"""The attacks of the security review against built programs of any version, from outside.

usage: before_after.py PROGRAMS [--expect none|all|controls] [--only WORD]   (scripts/test security)

PROGRAMS is a folder with talaria and talaria-worker (and talaria-enclave, if there is one). Prints
a line per finding of docs/security_review.md, `NN finding: found | not found | not applicable
(why)`, and ends with `N passed, N failed`. With --expect none, for this tree, each attack must
fail; with --expect all, for the tree that was reviewed, each must succeed. What is not applicable
is counted as neither, and an attack that could not be carried out has failed in both. With --expect
controls attacks of the same kinds are carried out where they must succeed in this tree, so that
"not found" means something. Needs Python 3 alone, and root for three of them.
"""
import argparse
import sys
import time

import findings_cluster
import findings_http
import findings_process
from programs import Build, NotApplicable


def number(finding):
    return int(finding[0]) if finding[0].isdigit() else 99


def outcome(attack, build):
    try:
        found = attack(build)
        how = f" ({found})" if isinstance(found, str) else ""
        return f"found{how}" if found else "not found"
    except NotApplicable as why:
        return f"not applicable ({why})"
    except (RuntimeError, OSError, ValueError, KeyError) as why:
        return f"not carried out ({type(why).__name__}: {why})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", help="folder of the programs")
    parser.add_argument("--expect", choices=["none", "all", "controls"], default="none")
    parser.add_argument("--only", default="", help="a number, or a part of a finding's name")
    parser.add_argument("--times", action="store_true", help="seconds that each attack took")
    flags = parser.parse_args()
    parts = (findings_process, findings_http, findings_cluster)
    if flags.expect == "controls":
        findings = [("control", *each) for part in parts for each in part.CONTROLS]
    else:
        findings = sorted((each for part in parts for each in part.FINDINGS), key=number)
    wanted = "not found" if flags.expect == "none" else "found"
    passed = failed = 0
    with Build(flags.programs) as build:
        for where, name, attack in findings:
            if flags.only and not (flags.only == where or
                                   not flags.only.isdigit() and flags.only in name):
                continue
            started = time.monotonic()
            result = outcome(attack, build)
            took = f" [{time.monotonic() - started:.1f} s]" if flags.times else ""
            print(f"{where} {name}: {result}{took}", flush=True)
            passed += result.startswith(wanted)
            failed += not result.startswith((wanted, "not applicable"))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
