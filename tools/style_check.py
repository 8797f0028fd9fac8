#!/usr/bin/env python3
"""Checks the rules of this tree that no compiler checks. Prints file:line: what is wrong and what to do instead.

Usage: tools/style_check.py [--format]
  --format  also runs clang-format over every source file and names those that differ (skipped when it is not installed)
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE_SUFFIXES = {".cc", ".h"}
CHECKED_SUFFIXES = SOURCE_SUFFIXES | {".proto", ".py", ".sh", ".cmake", ".txt", ".md", ".yaml"}
MAX_LINES = 700

# pattern, what to do instead, paths that may
BANNED = [
    (r"\bsleep_for\b|\bsleep_until\b|\busleep\s*\(", "wait for the condition itself (Mailbox, WaitFor, Pause)",
     r"examples/|benchmarks/|tests/"),
    (r"\bstd::j?thread\b(?!::(hardware_concurrency|id))", "use a WorkerPool or a Mailbox thread",
     r"common/concurrency/|rpc/|jobmanager/rest/|taskmanager/|jobmanager/|tests/|benchmarks/"),
    (r"\bsystem_clock::now\b", "ask the Clock (gRPC's deadlines excepted)",
     r"common/base/clock\.cc|(\w+/)?rpc/|tests/|benchmarks/"),
    (r"\bs?rand\s*\(\s*\)|\bsrand\b", "use <random> with a seed that is logged", None),
    (r"\b(TODO|FIXME|XXX)\b", "open an issue, or do it", r"tools/style_check\.py|CONTRIBUTING\.md|docs/"),
    (r"\babsl::string_view\b", "std::string_view; common/base/status.h says why",
     r"common/base/status\.h|cli/error_text\.cc"),
]


# Folder -> the folders whose headers it may include, besides its own and the public ones ("flink/...").
LAYERS = {
    "proto": {"common"},
    "common": set(),
    "api": {"common"},
    "connectors": {"api", "common"},
    "rpc": {"common", "proto"},
    "taskmanager": {"api", "common", "proto", "rpc"},
    "jobmanager": {"common", "proto", "rpc"},
    "cli": {"api", "common", "proto"},
}
PUBLIC_HEADERS = r"(api|common/public|connectors/public)/flink/"
# Third-party weight stays where it belongs.
THIRD_PARTY = [
    (r"grpcpp/|\.grpc\.pb\.h", r"rpc/|jobmanager/rpc/|taskmanager/rpc/|tests/", "gRPC"),
    (r"rocksdb/", r"taskmanager/state/|tests/|benchmarks/", "RocksDB"),
    (r"httplib\.h", r"cli/rest_client\.cc|jobmanager/rest/|tests/", "HTTP"),
    (r"asio\.hpp|asio/", r"taskmanager/network/|tests/|benchmarks/", "Asio"),
]


def check_include(name, line):
    match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
    if not match:
        return None
    quoted, header = match.group(1) == '"', match.group(2)
    for pattern, allowed, what in THIRD_PARTY:
        if re.match(pattern, header) and not re.match(allowed, name):
            return f"{what} does not belong here ({header})"
    if re.match(PUBLIC_HEADERS, name):
        if quoted and not header.startswith("flink/"):
            return f"a public header includes public headers only, not {header}"
        if not quoted and ("/" in header or header.endswith(".h")):
            return f"a public header uses the standard library only, not {header}"
    layer, folder = name.split("/")[0], header.split("/")[0]
    if quoted and layer in LAYERS and folder in LAYERS and folder != layer and folder not in LAYERS[layer]:
        return f"{layer}/ may not use {folder}/ ({header}): dependencies point one way"
    return None


def tracked_files():
    """The files of the tree, without build directories."""
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        top = relative.parts[0]
        if top == ".git" or top == "build" or top.startswith("build-") or not path.is_file():
            continue
        if path.suffix in CHECKED_SUFFIXES:
            yield path, relative.as_posix()


def strip_strings(line):
    return re.sub(r'"(\\.|[^"\\])*"', '""', line)


def check_file(path, name):
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    is_source = path.suffix in SOURCE_SUFFIXES
    if is_source and len(lines) - 1 > MAX_LINES:
        yield 1, f"{len(lines) - 1} lines; split it by responsibility, {MAX_LINES} are the limit"
    if path.suffix == ".h" and sum(line.strip() == "#pragma once" for line in lines) != 1:
        yield 1, "a header has exactly one #pragma once"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield number, "tab; use blanks"
        if line != line.rstrip() and path.suffix != ".md":
            yield number, "blanks at the end of the line"
        if not is_source:
            continue
        misplaced = check_include(name, line)
        if misplaced:
            yield number, misplaced
        code = strip_strings(line)
        for pattern, instead, allowed in BANNED:
            if re.search(pattern, code) and not (allowed and re.search(r"^(" + allowed + r")", name)):
                yield number, f"{re.search(pattern, code).group(0)}: {instead}"


def check_cited_tests(files):
    """Documents name tests that exist: `Suite.Test`, or `Suite.Beginning…`."""
    test = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)")
    tests = set()
    for path, name in files:
        if name.startswith("tests/") and name.endswith(".cc"):
            tests.update(f"{suite}.{case}" for suite, case in test.findall(path.read_text(encoding="utf-8")))
    document = "docs/flink-scenarios.md"
    for number, line in enumerate((ROOT / document).read_text(encoding="utf-8").splitlines(), 1):
        for cited in re.findall(r"`(\w+\.\w+…?)`", line):
            known = any(t.startswith(cited[:-1]) for t in tests) if cited.endswith("…") else cited in tests
            if not known and not cited.endswith(".md"):
                yield f"{document}:{number}: there is no test {cited}; name the one that checks it"


def check_format(files):
    if shutil.which("clang-format") is None:
        print("style_check: clang-format is not installed; the layout is not checked")
        return
    sources = [str(path) for path, _ in files if path.suffix in SOURCE_SUFFIXES]
    run = subprocess.run(["clang-format", "--dry-run", "--Werror", "--ferror-limit=1", *sources],
                         capture_output=True, text=True, check=False)
    for line in run.stderr.splitlines():
        if "error:" in line:
            name = pathlib.Path(line.split(":")[0]).relative_to(ROOT)
            yield f"{name}:{line.split(':')[1]}: layout differs; run clang-format -i {name}"


def main():
    files = list(tracked_files())
    problems = [f"{name}:{number}: {problem}" for path, name in files for number, problem in check_file(path, name)]
    problems += list(check_cited_tests(files))
    if "--format" in sys.argv[1:]:
        problems += list(check_format(files))
    print("\n".join(problems) if problems else f"style_check: {len(files)} files, nothing to object")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
