#!/usr/bin/env python3
"""Rules of this project that no compiler knows: who may include whom, how long things may be, and what
belongs into one place only. Prints `file:line: what is wrong`; exit code 1 if anything is."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["core", "plugin", "worker", "tools", "tests", "schema"]

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# schema -> core -> {plugin, worker}; the command line also reads the worker's configuration.
FORBIDDEN_INCLUDES = {
    "core": r'"(plugin|worker|tools|tests)/|<(mosquitto|mqtt/|MQTT|libpq|asio|spdlog|thread|mutex|condition_variable|sys/socket|netinet|poll|sys/epoll)',
    "plugin": r'"(worker|tools|tests)/|<(mqtt/|MQTT|libpq|asio|spdlog|thread|mutex|condition_variable|sys/socket|poll)',
    "worker": r'"(plugin|tools|tests)/|<mosquitto',
    "tools": r'"(plugin|tests)/|<mosquitto',
    "tests": r'"tools/(?!(parley|load)/)',
}

# (what, pattern, files where it is allowed)
ONLY_IN = [
    (
        "a clock is read in the loop and handed down",
        r"::now\(\)|\b(clock_gettime|gettimeofday|time\(nullptr\)|time\(NULL\))",
        r"worker/(loop|main)\.cpp|plugin/broker\.cpp|tests/.*|tools/.*",
    ),
    (
        "chance is an argument",
        r"\b(std::)?(rand|srand)\(|random_device",
        r"worker/(loop|main)\.cpp|tests/.*|tools/.*",
    ),
    (
        "protobuf types stay in core/*wire.cpp and what only those use",
        r'#include .*\.pb\.h[">]',
        r"core/(wire|link_wire|request_wire|proto_json)\.cpp|tests/.*",
    ),
]
SQL = re.compile(
    r"\b(SELECT\s|INSERT INTO\s|UPDATE\s+\w+\s+SET\b|DELETE FROM\s|(CREATE|ALTER|DROP) TABLE\s|LISTEN \w|NOTIFY \w)"
)
SQL_ALLOWED = re.compile(r"worker/(statements\w*|migrations)\.cpp|schema/.*|tools/parley/.*|tests/.*")
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")

STRING = re.compile(
    r'R"(?P<tag>[^()\\ ]*)\((?P<raw>.*?)\)(?P=tag)"' r"|\"(?:[^\"\\\n]|\\.)*\"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'",
    re.DOTALL,
)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
TOKEN = re.compile(f"(?P<comment>{COMMENT.pattern})|(?P<string>{STRING.pattern})", re.DOTALL)


def blank(text):
    """As many spaces and line ends as `text` has, so that positions stay."""
    return re.sub(r"[^\n]", " ", text)


def split_code(text):
    """The code without comments and strings, and the strings alone; both with the text's positions."""
    code, strings, end = [], [], 0
    for match in TOKEN.finditer(text):
        between = text[end : match.start()]
        code += [between, blank(match.group())]
        strings += [blank(between), match.group() if match.group("string") else blank(match.group())]
        end = match.end()
    return "".join(code) + text[end:], "".join(strings) + blank(text[end:])


def line_of(text, position):
    return text.count("\n", 0, position) + 1


NOT_A_FUNCTION = re.compile(r"\b(namespace|class|struct|union|enum)\b|=\s*$|extern\s*$|^\s*$")


def long_functions(code):
    """Yields (line, lines) of function bodies that are too long. A body is what stands in braces after a
    head with parentheses, directly in a file, namespace or class."""
    stack = []  # of (sort of brace, start of head)
    head = 0

    def in_body():
        return any(sort == "body" for sort, _ in stack)

    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: blank(m.group()), code, flags=re.MULTILINE)
    for position, char in enumerate(code):
        if char == "{" and not code[position - 1].isspace():
            stack.append(("value", head))  # `member_{1}`: formatted code has a space before all others
        elif char == "{":
            text = re.sub(r"template <[^;]*?>(?=\s)", "", code[head:position])
            is_body = not in_body() and "(" in text and not NOT_A_FUNCTION.search(text.split("(")[0])
            stack.append(("body" if is_body else "scope", head))
            if not in_body():
                head = position + 1
        elif char == "}" and stack:
            sort, start = stack.pop()
            if sort == "body":
                begin = start + len(code[start:]) - len(code[start:].lstrip())
                lines = code.count("\n", begin, position) + 1
                if lines > FUNCTION_LINES_MAX:
                    yield line_of(code, begin), lines
            if sort != "value" and not in_body():
                head = position + 1
        elif char == ";" and not in_body():
            head = position + 1


def check_file(path):
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    code, strings = split_code(text)
    folder = name.split("/")[0]

    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield 1, f"{lines} lines; a file has at most {FILE_LINES_MAX}"
    for line, count in long_functions(code):
        yield line, f"a function of {count} lines; at most {FUNCTION_LINES_MAX}"

    for number, line in enumerate(text.splitlines(), 1):
        include = re.match(r'\s*#include\s+(["<][^">]+)', line)
        if include and folder in FORBIDDEN_INCLUDES and re.match(FORBIDDEN_INCLUDES[folder], include.group(1)):
            yield number, f"{folder}/ must not include {include.group(1)[1:]}"
        if TODO.search(line):
            yield number, "a TODO names an issue: TODO(#12)"
    for what, pattern, allowed in ONLY_IN:
        if re.fullmatch(allowed, name):
            continue
        searched = text if "#include" in pattern else code
        for match in re.finditer(pattern, searched):
            yield line_of(text, match.start()), what
    if not SQL_ALLOWED.fullmatch(name):
        for match in SQL.finditer(strings):
            yield line_of(text, match.start()), "SQL stands in worker/statements.cpp"


def main():
    wrong = 0
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".cpp", ".hpp") or not path.is_file():
                continue
            for line, what in sorted(check_file(path)):
                print(f"{path.relative_to(ROOT)}:{line}: {what}")
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
