#!/usr/bin/env python3
"""Checks which folder includes what: the direction of dependencies, and that each third-party
library is visible in its one place only. Fails with file, line and the rule that is broken.

usage: check_layers.py [ROOT] | check_layers.py --self-test
"""
import re
import sys
from pathlib import Path

# What a folder may include of ours, besides itself: folders, or single headers (they end in .h).
# Nothing that stands further down may be included from further up. tests/ may include anything.
BASE = {"protocol/base"}
PROTOCOL = BASE | {"protocol", "protocol/fs"}
SIGNED = PROTOCOL | {"protocol/sign"}
CLIENT = SIGNED | {"protocol/client"}
# Bodies are the same ByteSource and ByteSink for client and server.
BODIES = {"protocol/client/http_client.h"}
# What a storage driver that is a client itself needs besides.
EXCHANGES = BODIES | {"protocol/client/retry_policy.h", "protocol/sign/s3_signature.h"}
IO = PROTOCOL | {"protocol/client", "cache"}
VFS = IO | {"fuse/io"}
SERVER = CLIENT | {"server/http", "server/storage"}
ALLOWED = {
    "protocol/base": set(),
    "protocol": BASE,
    "protocol/fs": BASE,
    "protocol/sign": PROTOCOL,
    "protocol/client": SIGNED,
    "cache": PROTOCOL,
    "fuse/io": IO,
    "fuse/vfs": VFS,
    "fuse/kernel": BASE | {"fuse/vfs"},
    "fuse": CLIENT | VFS | {"fuse/vfs", "fuse/kernel"},
    "server/db": PROTOCOL,
    "server/http": SIGNED | BODIES,
    "server/storage": PROTOCOL | EXCHANGES,
    "server/primary": SERVER | {"server/db"},
    "server/content": SERVER | {"server/db", "server/primary"},
    "server/files": SERVER | {"server/db", "server/primary", "server/content"},
    "server/webdav": SERVER | {"server/db", "server/primary", "server/content"},
    "server/follower": SERVER,
    "server": SERVER | {"server/db", "server/primary", "server/files", "server/webdav",
                        "server/follower"},
    "tools": CLIENT | {"cache"},
    "tools/bench": CLIENT | {"cache", "fuse/io", "fuse/vfs", "server/db", "server/http",
                             "server/storage", "server/primary", "server/follower"},
}

# Third-party headers, and the only files that may include them.
THIRD_PARTY = [
    ("libfuse", r"fuse3/|fuse(_\w+)?\.h$", r"fuse/kernel/"),
    ("libcurl", r"curl/", r"protocol/client/([^/]+\.cpp|curl_exchange\.h)$"),
    ("RocksDB", r"rocksdb/", r"cache/[^/]+\.cpp$"),
    ("Asio and Beast", r"boost/(asio|beast)", r"server/http/"),
    ("SQL", r"sqlite3|libpq-fe\.h|postgresql/", r"server/db/|server/follower/binding_store\.cpp$"),
    ("OpenSSL", r"openssl/", r"protocol/checksum\.(h|cpp)$|protocol/sign/|server/http/tls\.cpp$"),
    ("ISA-L", r"isa-l", r"protocol/checksum\.cpp$"),
    ("libargon2", r"argon2", r"server/primary/[^/]+\.cpp$"),
    ("spdlog", r"spdlog/", r"protocol/base/[^/]+\.cpp$"),
    ("pugixml", r"pugixml", r"server/storage/s3_xml\.cpp$|server/webdav/xml_request\.cpp$"),
    ("toml++", r"toml\+\+|toml\.hpp$", r"protocol/base/[^/]+\.cpp$"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def row_of(path: str) -> str:
    """The folder whose row holds for `path`: its own, or the nearest one above that has a row."""
    folder = folder_of(path)
    while folder and folder not in ALLOWED:
        folder = folder_of(folder)
    return folder


def broken_arrow(source: str, included: str):
    """The reason why `source` may not include `included` (both root-relative), or None."""
    row, target = row_of(source), row_of(included)
    if not row:
        return "its folder has no row in tools/check_layers.py"
    if not target:
        return f"folder {folder_of(included) or '/'} may be included by nobody"
    allowed = ALLOWED[row]
    if target == row or target in allowed or included in allowed:
        return None
    return f"{row} may not include {target}"


def misplaced_library(source: str, header: str):
    for name, pattern, places in THIRD_PARTY:
        if re.match(pattern, header) and not re.match(places, source):
            return f"{name} may be included only in {places}"
    return None


def check_file(root: Path, source: str):
    text = (root / source).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1) or match.group(2)
        if match.group(1) and (root / header).exists():
            problem = broken_arrow(source, header)
        elif match.group(1) and (root / folder_of(source) / header).exists():
            problem = "includes of ours are relative to the root"
        else:
            problem = misplaced_library(source, header)
        if problem:
            yield f"{source}:{number}: includes {header}: {problem}"


def sources(root: Path):
    """The C++ files outside tests/, root-relative."""
    tops = sorted({row.partition("/")[0] for row in ALLOWED})
    return sorted(str(path.relative_to(root)) for top in tops
                  for path in (root / top).rglob("*") if path.suffix in (".h", ".cpp"))


def self_test():
    assert broken_arrow("fuse/vfs/a.cpp", "fuse/io/b.h") is None
    assert broken_arrow("fuse/io/a.cpp", "server/http/b.h")
    assert broken_arrow("protocol/base/a.h", "protocol/text.h")
    assert broken_arrow("protocol/client/a.cpp", "protocol/sign/b.h") is None
    assert broken_arrow("server/http/http.h", "protocol/client/http_client.h") is None
    assert broken_arrow("server/http/http.h", "protocol/client/primary_client.h")
    assert broken_arrow("server/primary/webdav/a.cpp", "server/db/b.h") is None
    assert broken_arrow("server/follower/a.cpp", "server/db/b.h")
    assert broken_arrow("elsewhere/a.cpp", "protocol/base/b.h")
    assert misplaced_library("fuse/vfs/a.cpp", "fuse3/fuse_lowlevel.h")
    assert misplaced_library("fuse/vfs/a.cpp", "fuse_lowlevel.h")
    assert misplaced_library("fuse/kernel/a.h", "fuse3/fuse_lowlevel.h") is None
    assert misplaced_library("cache/a.h", "rocksdb/db.h")
    assert misplaced_library("cache/a.cpp", "rocksdb/db.h") is None
    assert misplaced_library("server/follower/binding_store.cpp", "sqlite3.h") is None
    assert misplaced_library("server/follower/api.cpp", "sqlite3.h")
    assert misplaced_library("tools/a.cpp", "curl/curl.h")
    print("self-test passed")


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    files = sources(root)
    problems = [problem for source in files for problem in check_file(root, source)]
    print("\n".join(problems) if problems else f"{len(files)} files keep the layers")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
