#!/usr/bin/env python3
"""Counts words that this project does not use in its prose; fails where a count is above the one recorded in prose.json.

    python3 .ci/prose.py             compares the counts with prose.json
    python3 .ci/prose.py --list      prints each occurrence, and the words that need a reader's judgement
    python3 .ci/prose.py --record    lowers the counts in prose.json; never raises one

Text is of one of five kinds: messages (string literals of deployed code and of the development stack: errors, log messages, help),
interface (openapi.yaml, template.yaml, the templates of docs/examples), documents (Markdown), comments (of every language), names
(identifiers that Rust code declares: tests, functions, types). Docstrings that clap prints as help are messages.

Not counted: code spans and code blocks, addresses of mails and pages, text in double quotes, mails and pages, this file.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

RECORD = Path(".ci/prose.json")

# Words that have a plain equivalent everywhere: software returns, logs, sends and requires; it does not tell.
REPLACED = [
    r"tells?",
    r"told",
    r"telling",
    r"nobody",
    r"somebody",
    r"whoever",
    r"anew",
    r"meanwhile",
    r"what (?:it|this|they) works? with",
    r"asked for anew",
    r"lets? (?:people )?(?:in|pass)",
    r"who (?:is|are) signed in",
    r"at the most",
    r"may it be",
]

# Words that are often right. They are listed for a reader to judge, and not counted.
REVIEWED = [r"who (?:is|has|knows)", r"whatever", r"beside", r"goes? on", r"is to be", r"comes? to", r"of its own"]

KINDS = ["messages", "interface", "documents", "comments", "names"]

# Mails and pages have native speakers' texts in several languages; licences and recorded data are not ours to word.
SKIPPED = re.compile(
    r"^(functions/src/(mail/templates|pages/assets)/|functions/src/texts/[a-z]{2}\.rs$|fuzz/seeds/|tests/mail/|LICENSE|\.ci/prose\.|Cargo\.lock)"
)
INTERFACE = re.compile(r"^(openapi\.yaml|template\.yaml|docs/examples/.*\.yaml)$")
# Docstrings of a file that derives one of these are the help of a program.
HELP = re.compile(r"derive\([^)]*\b(?:Parser|Args|Subcommand|ValueEnum)\b")

RUST = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<raw>b?r(?P<hash>\#*)".*?"(?P=hash))|(?P<text>b?"(?:\\.|[^"\\])*")|(?P<char>b?'(?:\\.[^']*|[^'\\])')""",
    re.S,
)
DECLARED = re.compile(r"\b(?:fn|struct|enum|trait|mod|const|static|type|let(?: mut)?)\s+([A-Za-z_]\w*)")
QUOTED = re.compile(r"```.*?```|``[^`]*``|`[^`]*`|\"[^\"\n]{1,200}\"|“[^”]*”|https?://\S+|[\w.+-]+@[\w.-]+|\]\([^)]*\)", re.S)


def blank(match):
    """Spaces of the same shape, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group())


def prose(text):
    return QUOTED.sub(blank, text)


def rust(path, text):
    """(kind, line, text) of each comment, literal and declared name."""
    has_help = HELP.search(text)
    in_tests = "tests" in Path(path).parts or Path(path).name == "tests.rs"
    inline_tests = re.search(r"^#\[cfg\(test\)\]\s*mod \w+ \{", text, re.M)
    end = inline_tests.start() if inline_tests else len(text)
    comment_start, comment = None, []

    def finish():
        nonlocal comment_start, comment
        if comment:
            joined = "\n".join(comment)
            kind = "messages" if has_help and joined.lstrip().startswith("///") else "comments"
            yield kind, comment_start, prose(re.sub(r"(?m)^\s*//[/!]? ?", "", joined))
        comment_start, comment = None, []

    code, last = [], 0
    for token in RUST.finditer(text):
        between = text[last : token.start()]
        code.append(between + re.sub(r"[^\n]", " ", token.group()))
        last = token.end()
        line = text.count("\n", 0, token.start()) + 1
        if token.lastgroup == "comment" or token.group("comment"):
            # Lines of one comment are read together: a sentence may break within a phrase.
            if comment and (between.strip() or between.count("\n") > 1):
                yield from finish()
            if not comment:
                comment_start = line
            comment.append(token.group("comment"))
            continue
        yield from finish()
        literal = token.group("raw") or token.group("text")
        if literal and not in_tests and token.start() < end and " " in literal:
            inner = re.sub(r"\\\"", "'", literal.strip('b"r#'))
            yield "messages", line, re.sub(r"\\\n\s*", "", prose(inner))
    yield from finish()
    code.append(text[last:])
    for name in DECLARED.finditer("".join(code)):
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.group(1)).replace("_", " ")
        yield "names", "".join(code).count("\n", 0, name.start()) + 1, words


def comments(text, opening, closing=None):
    """Comments of a language whose comments begin with a mark, where it follows nothing but space or comes after a space."""
    pattern = rf"(?:^|(?<=\s)){opening}(?!!)[^\n]*" if not closing else rf"{opening}.*?{closing}"
    found = list(re.finditer(pattern, text, re.M if not closing else re.S))
    position = 0
    while position < len(found):
        first = found[position]
        parts = [first.group()]
        while (
            position + 1 < len(found)
            and text[found[position].end() : found[position + 1].start()].strip() == ""
            and text.count("\n", found[position].end(), found[position + 1].start()) == 1
        ):
            position += 1
            parts.append(found[position].group())
        position += 1
        yield "comments", text.count("\n", 0, first.start()) + 1, prose("\n".join(parts))


def parts_of(path, text):
    """(kind, line, text) of everything that is prose in a file."""
    name = Path(path).name
    if path.endswith(".rs"):
        yield from rust(path, text)
    elif path.endswith(".md"):
        yield "documents", 1, prose(text)
    elif INTERFACE.match(path):
        yield "interface", 1, prose(text)
    elif path.endswith(".py"):
        yield from comments(text, "#")
        yield from comments(text, '"""', '"""')
    elif path.endswith((".toml", ".yml", ".yaml", ".sh", ".conf")) or path == ".ci/run" or name.startswith("."):
        yield from comments(text, "#")
    elif path.endswith((".js", ".css")):
        yield from comments(text, r"/\*", r"\*/")
        yield from comments(text, "//")


def occurrences(words):
    pattern = re.compile(r"\b(?:" + "|".join(word.replace(" ", r"\s+") for word in words) + r")\b", re.I)
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True)
    for path in sorted(set(filter(None, listed.stdout.decode().split("\0")))):
        if SKIPPED.match(path) or not Path(path).is_file():
            continue
        try:
            text = Path(path).read_text()
        except UnicodeDecodeError:
            continue
        for kind, line, part in parts_of(path, text):
            for match in pattern.finditer(part):
                yield kind, path, line + part.count("\n", 0, match.start()), " ".join(match.group().lower().split())


def counted(found):
    counts = dict.fromkeys(KINDS, 0)
    for kind, *_ in found:
        counts[kind] += 1
    return counts


def main(arguments):
    found = list(occurrences(REPLACED))
    counts = counted(found)
    if "--list" in arguments:
        for title, rows in (("replaced", found), ("for review", list(occurrences(REVIEWED)))):
            print(f"{title}: {len(rows)}")
            for kind, path, line, word in rows:
                print(f"  {path}:{line}: {kind}: {word}")
        return 0
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else counts
    higher = [kind for kind in KINDS if counts[kind] > recorded[kind]]
    for kind in KINDS:
        print(f"    {kind}: {counts[kind]}, at most {recorded[kind]}")
    if higher:
        print(f"    more than recorded: {', '.join(higher)}; `python3 .ci/prose.py --list` shows each place")
        return 1
    if "--record" in arguments:
        RECORD.write_text(json.dumps(counts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
