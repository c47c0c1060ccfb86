#!/usr/bin/env python3
"""Fails if files of a package import each other in a cycle, or if a layer imports one above it.

A module and its own submodules count as one, so `store/mod.rs` and its files may import each other.
Tests are ignored. The script reads `use` declarations and paths that begin with `crate`, `self` or
`super`, and resolves re-exported names to the file that defines them.
"""

import re
import sys
from pathlib import Path

PACKAGES = ["functions", "shared", "local", "bench"]

# The layers that each layer of `shared` may import in addition to itself. `domain` may use only the
# parts of `platform` that are pure or that tests control.
LAYERS = {
    "error": [],
    "platform": ["error"],
    "domain": ["error", "platform::clock", "platform::random", "platform::sealing", "platform::service_url"],
    "config": ["error", "platform", "domain"],
    "tokens": ["error", "platform", "domain"],
    "providers": ["error", "platform", "domain"],
    "store": ["error", "platform", "domain", "tokens"],
    "http": ["error", "platform", "domain", "tokens", "store"],
}

TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|r#+".*?"#+|r?"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.S)


def code_of(path):
    """The code of a file without comments, string literals and inline tests."""
    text = TOKENS.sub(lambda token: " " if token.group().startswith("/") else '""', path.read_text())
    cut = re.search(r"^#\[cfg\(test\)\]\s*mod \w+ \{", text, re.M)
    return text[: cut.start()] if cut else text


def modules_of(source):
    """The module of each file: `store::users` of `store/users.rs`, `store` of `store/mod.rs`."""
    modules = {}
    for path in sorted(source.rglob("*.rs")):
        parts = list(path.relative_to(source).with_suffix("").parts)
        if "tests" in parts or parts[0] == "bin" or parts[-1] in ("secrets_manager",):
            continue
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        modules["::".join(parts)] = path
    return modules


def split(text):
    """The parts of a use tree, separated at its outermost commas."""
    depth, start = 0, 0
    for place, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def flatten(tree, prefix=()):
    """The paths of a use tree, without their aliases."""
    tree = tree.strip()
    if "{" in tree:
        head = [part.strip() for part in tree[: tree.index("{")].split("::") if part.strip()]
        for part in split(tree[tree.index("{") + 1 : tree.rindex("}")]):
            yield from flatten(part, (*prefix, *head))
    elif tree:
        path = [part.strip() for part in re.sub(r"\s+as\s+\w+$", "", tree).split("::")]
        yield (*prefix, *(part for part in path if part != "self"))


def absolute(path, module):
    """A path from the root of its package; None for a path into another package."""
    here = module.split("::") if module else []
    if path[0] == "crate":
        return list(path[1:])
    if path[0] == "self":
        return here + list(path[1:])
    if path[0] == "super":
        while path and path[0] == "super":
            here, path = here[:-1], path[1:]
        return here + list(path)
    return None


def paths_of(code, module):
    """Every path of a file from the root of its package, and its re-exported paths by name."""
    paths, exports = [], {}
    for match in re.finditer(r"\b(pub(?:\([\w ]+\))?\s+)?use\s+([^;]+);", code):
        for path in flatten(match.group(2)):
            target = absolute(path, module)
            if target is None and module is not None and path and path[0] in CHILDREN.get(module, ()):
                target = (module.split("::") if module else []) + list(path)
            if target is not None:
                paths.append(target)
                if match.group(1):
                    exports[path[-1]] = target
    for match in re.finditer(r"\b(?:crate|super|self)(?:::\w+)+", re.sub(r"\buse\s+[^;]+;", "", code)):
        target = absolute(match.group().split("::"), module)
        if target is not None:
            paths.append(target)
    return paths, exports


CHILDREN = {}


def graph_of(source):
    """The modules that each module imports."""
    modules = modules_of(source)
    for name in modules:
        parent, _, child = name.rpartition("::")
        CHILDREN.setdefault(parent, set()).add(child)
    read = {name: paths_of(code_of(path), name) for name, path in modules.items()}

    def file_of(path, depth=0):
        """The module whose file defines the item of a path."""
        for length in range(len(path), -1, -1):
            name = "::".join(path[:length])
            if name in modules:
                rest = path[length:]
                exported = read[name][1].get(rest[0]) if rest and depth < 8 else None
                return file_of(exported + rest[1:], depth + 1) if exported and exported != path else name
        return None

    graph = {}
    for name, (paths, _) in read.items():
        graph[name] = {target for target in map(file_of, paths) if target is not None and not is_one(name, target)}
    CHILDREN.clear()
    return modules, graph


def is_one(a, b):
    """Whether two modules are equal or one contains the other."""
    return a == b or f"{a}::".startswith(f"{b}::") or f"{b}::".startswith(f"{a}::") or "" in (a, b)


def cycles_of(graph):
    """Groups of modules that import each other (strongly connected components, by Tarjan's algorithm)."""
    index, low, stack, groups = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return groups


def within(module, layer):
    return module == layer or module.startswith(f"{layer}::")


def main():
    problems, files, arrows = [], 0, 0
    for package in PACKAGES:
        modules, graph = graph_of(Path(package) / "src")
        files += len(modules)
        arrows += sum(map(len, graph.values()))
        for group in cycles_of(graph):
            problems.append(f"{package}: import cycle: {', '.join(group)}")
            for node in group:
                inside = sorted(graph[node] & set(group))
                problems.append(f"    {modules[node]} imports {', '.join(inside)}")
        if package == "shared":
            for module, targets in sorted(graph.items()):
                layer = module.split("::")[0]
                if not module:
                    continue
                if layer not in LAYERS:
                    problems.append(f"{modules[module]}: {layer} is not a known layer; add it to LAYERS in .ci/imports.py")
                    continue
                for target in sorted(targets):
                    if not any(within(target, allowed) for allowed in [layer, *LAYERS[layer]]):
                        problems.append(f"{modules[module]}: {layer} must not import {target}")
    print("\n".join(problems) or f"    {files} files, {arrows} imports between them, no cycle and no upward import")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
