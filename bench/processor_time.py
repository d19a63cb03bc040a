#!/usr/bin/env python3
"""Where the processor time of a server goes, as a table in Markdown, from folded stacks of perf.

    bench/processor_time.py FILE.folded…

A file has a line for each stack: its functions, the outermost first, with `;` between them, and its weight; those of the kernel end
in `_[k]` (`inferno-collapse-perf --kernel`). Each file is a column, which has the name of the file.

The innermost function of a stack decides about the row. A function of Rust's standard library, or one without a name, says
little, so it counts for the nearest function outside that has a row.
"""

import collections
import pathlib
import re
import sys

KERNEL = "the kernel (sockets, wake-ups)"
ALLOCATOR = "the allocator"
COPIES = "copies and comparisons of memory"
OTHER = "other"

# The crates of each row. A name that ends in `*` stands for all that begin so.
CRATES = {
    "HTTP (hyper, axum, tower)": "hyper hyper_util axum axum_core tower tower_service tower_layer tower_http http http_body http_body_util httparse h2 matchit mime bytes httpdate sse_stream",
    "TLS": "rustls* tokio_rustls tokio_postgres_rustls webpki ring aws_lc*",
    "JSON": "serde serde_core serde_json itoa ryu zmij",
    "the runtime (tokio)": "tokio tokio_util tokio_stream mio futures* parking_lot* crossbeam* pin_project* async_trait",
    "the server itself": "memory_bank*",
    "the client of PostgreSQL": "tokio_postgres postgres_protocol postgres_types deadpool deadpool_postgres",
    "the client of Redis": "redis combine",
    "rmcp": "rmcp",
    "tracing and the request log": "tracing* opentelemetry* metrics* log sharded_slab",
    "hashes and random numbers": "sha2 digest hmac subtle getrandom rand* uuid hashbrown indexmap foldhash ahash siphasher md5 blake* crc32fast base64* hex",
}
# Functions of C, and of the allocator.
ALLOCATES = re.compile(r"^_*(?:mi_|rust_(?:alloc|dealloc|realloc)|rdl_|rg_|(?:libc_)?(?:malloc|calloc|realloc|free|memalign|posix_memalign)\b)|^(?:mimalloc|libmimalloc_sys)::|alloc::alloc::|alloc::raw_vec")
COPIES_MEMORY = re.compile(r"^_*(?:GI_)?_*(?:memcpy|memmove|memset|memcmp|bcmp|mempcpy|memchr|strlen)|^(?:memchr|compiler_builtins)::")
HASHES = re.compile(r"^(?:sha256|sha512|gcm_|aes|chacha|_*(?:GI_)?_*getrandom)|aws_lc|^ring_core", re.I)
# The first segment of each path of a name, such as `hyper` of `<hyper::proto::Conn as core::future::Future>::poll`.
PATHS = re.compile(r"(?<![\w:>}])([a-z_]\w*)(?:\[[0-9a-f]+\])?::")

ROWS = {name: row for row, names in CRATES.items() for name in names.split() if not name.endswith("*")}
PREFIXES = {name[:-1]: row for row, names in CRATES.items() for name in names.split() if name.endswith("*")}


def row_of(function):
    """The row of a function by its name alone; none if the name does not tell."""
    if function.endswith("_[k]"):
        return KERNEL
    if ALLOCATES.search(function):
        return ALLOCATOR
    if COPIES_MEMORY.search(function):
        return COPIES
    for crate in PATHS.findall(function):
        row = ROWS.get(crate) or next((row for prefix, row in PREFIXES.items() if crate.startswith(prefix)), None)
        if row:
            return row
    return "hashes and random numbers" if HASHES.search(function) else None


def row_of_stack(functions):
    """The row of a stack, whose outermost entry is the name of the thread."""
    # A function of the kernel or of the allocator further out is not what a function without a row works for.
    rows = (row_of(function) for function in reversed(functions[1:]))
    first = next(rows, None)
    if first:
        return first
    return next((row for row in rows if row and row not in (KERNEL, ALLOCATOR, COPIES)), OTHER)


def read(path):
    """The weights by row, and by innermost function."""
    rows, functions = collections.Counter(), collections.Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        stack, _, weight = line.rpartition(" ")
        if not weight.isdigit() or not stack:
            sys.exit(f"{path}: `{line[:80]}` is no stack with its weight")
        stack = stack.split(";")
        rows[row_of_stack(stack)] += int(weight)
        functions[stack[-1]] += int(weight)
    if not rows:
        sys.exit(f"{path} has no stacks")
    return rows, functions


def table(columns):
    """The table of columns, each a name and its weights by row and by function: the largest row of the first column first."""
    shares = []
    for name, (rows, functions) in columns:
        whole = rows.total()
        outside = collections.Counter({name: weight for name, weight in functions.items() if not name.endswith("_[k]")})
        largest, weight = (outside.most_common(1) or [("none", 0)])[0]
        shares.append((name, {row: 100 * part / whole for row, part in rows.items()}, largest, 100 * weight / whole))
    rows = sorted({row for _, of, _, _ in shares for row in of}, key=lambda row: (row == OTHER, -shares[0][1].get(row, 0), row))
    lines = ["| | " + " | ".join(name for name, *_ in shares) + " |", "|---|" + "---:|" * len(shares)]
    lines += [f"| {row} | " + " | ".join(f"{of.get(row, 0):.0f} %" for _, of, _, _ in shares) + " |" for row in rows]
    lines += ["", "The largest function by itself, outside of the kernel:", ""]
    lines += [f"- {name}: `{largest}`, {share:.1f} %" for name, _, largest, share in shares]
    return "\n".join(lines)


if __name__ == "__main__":
    paths = [pathlib.Path(name) for name in sys.argv[1:]]
    if not paths:
        sys.exit(__doc__)
    print(table([(path.stem, read(path)) for path in paths]))
