"""Whether an expression in an exported program only computes sizes: torch gives it to Python's eval and exec."""

from __future__ import annotations

import ast
import re

__all__ = ["is_guard", "is_size"]

# no backslash, #, brace or line break: torch and sympy take line breaks out before they evaluate, after which what was
# a comment or the end of a string for us would be code for them
_CHARACTERS = re.compile(r"""[A-Za-z0-9_ .,:@()\[\]'"+\-*/%<>=!&|~]*""")
# sympy evaluates a text within a text once more; in a guard it is the key of an input
_SIZE_TEXT = re.compile(r"[\w.+\-]*")
_GUARD_TEXT = re.compile(r"[\w.+\-:@/ ]*")
_MANY_DIGITS = re.compile(r"\d{25}")

_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Compare, ast.Constant,
    ast.Name, ast.Load, ast.Call, ast.keyword, ast.Subscript, ast.Attribute, ast.Tuple, ast.List, ast.IfExp,
    ast.operator, ast.cmpop,
)  # fmt: skip
_ATTRIBUTE_WORDS = (
    "size stride storage_offset shape ndim dim sym_max sym_min sym_ite sym_not sym_sum sym_float sym_int floor ceil "
    "trunc sqrt"
)
_ATTRIBUTES = frozenset(_ATTRIBUTE_WORDS.split())
_SIZE_WORDS = (
    "Symbol Integer Float Rational Add Mul Pow Mod Max Min Abs Eq Ne Gt Lt Ge Le And Or Not Piecewise ExprCondPair "
    "FloorDiv CleanDiv CeilDiv ModularIndexing PythonMod CMod IntTrueDiv FloatTrueDiv PowByNatural FloatPow "
    "TruncToInt TruncToFloat CeilToInt FloorToInt RoundToInt RoundDecimal ToFloat Where Identity Infinity "
    "NegativeInfinity Equality Unequality GreaterThan LessThan StrictGreaterThan StrictLessThan IntInfinity "
    "NegativeIntInfinity BooleanTrue BooleanFalse LShift RShift IsNonOverlappingAndDenseIndicator"
)
_SIZE_FUNCTIONS = frozenset(_SIZE_WORDS.split())
_GUARD_FUNCTIONS = _SIZE_FUNCTIONS | {"max", "min", "abs", "int", "float", "bool", "len"}


def is_size(text: str) -> bool:
    """Returns whether `text` is arithmetic of sizes, as torch writes and sympy reads it."""
    return _is_expression(text, _SIZE_FUNCTIONS, _SIZE_TEXT)


def is_guard(text: str) -> bool:
    """Returns whether `text` compares sizes of the arguments."""
    return _is_expression(text, _GUARD_FUNCTIONS, _GUARD_TEXT)


def _is_expression(text: str, functions: frozenset[str], texts: re.Pattern[str]) -> bool:
    if not _CHARACTERS.fullmatch(text) or "__" in text or _MANY_DIGITS.search(text):
        return False
    try:
        return all(_is_allowed(node, functions, texts) for node in ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_allowed(node: ast.AST, functions: frozenset[str], texts: re.Pattern[str]) -> bool:
    """Allows arithmetic and comparisons of names and numbers, the given functions, and attributes that are sizes."""
    if isinstance(node, ast.Attribute):
        return node.attr in _ATTRIBUTES
    if isinstance(node, ast.Call):
        by_name = isinstance(node.func, ast.Name) and node.func.id in functions
        return by_name or isinstance(node.func, ast.Attribute)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return texts.fullmatch(node.value) is not None
    return isinstance(node, _NODES)
