"""Cuts a migration file into its statements, because each is run and committed by itself.

`CREATE INDEX CONCURRENTLY` cannot run in a transaction, and a lock that one statement took would otherwise be held
until the last one of the file had run.
"""

import re

_TOKEN = re.compile(
    r"""
      --[^\n]*                        # comment to the end of the line
    | /\*.*?\*/                       # comment in the manner of C
    | '(?:[^']|'')*'                  # text
    | "(?:[^"]|"")*"                  # quoted name
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$   # dollar-quoted text: the body of a function
    | ;
    | [^;'"$/-]+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = ("--", "/*")


def split(text: str) -> list[str]:
    """Return the statements of `text` in order, each with the comments inside it, without the semicolon."""
    statements: list[str] = []
    current: list[str] = []
    for piece in (match.group() for match in _TOKEN.finditer(text)):
        if piece != ";":
            current.append(piece)
            continue
        statements.append("".join(current))
        current = []
    statements.append("".join(current))
    return [statement.strip() for statement in statements if _says_something(statement)]


def _says_something(statement: str) -> bool:
    return any(match.group().strip() and not match.group().startswith(_COMMENT) for match in _TOKEN.finditer(statement))
