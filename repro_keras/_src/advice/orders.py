"""Rules for orders: of the files of a folder, and of sets, where an order has an effect."""

import ast

from repro_keras._src.advice.source import Found, Source

_LISTINGS = {
    "os.listdir",
    "os.scandir",
    "os.walk",
    "os.fwalk",
    "glob.glob",
    "glob.iglob",
    "tensorflow.io.gfile.listdir",
    "tensorflow.io.gfile.walk",
}
_OF_PATHS = {"iterdir", "rglob", "glob"}
_SETS = {"set", "frozenset"}
_OF_SETS = {"union", "intersection", "difference", "symmetric_difference", "copy"}

# Functions to which an order means nothing; so it is to those with "sort" in their name.
_FREE = {"len", "sum", "any", "all", "min", "max", "bool", "set", "frozenset", "print"}
_FREE |= {"math.fsum", "collections.Counter", "numpy.unique", "repr", "str", "id"}
_FREE |= {"isinstance", "type", "numpy.isin", "numpy.in1d"}
_LOGGING = {"debug", "info", "warn", "warning", "error", "exception", "log"}
# Functions that hand on what they get in the order in which they get it, one after the other.
_SAME = {"list", "tuple", "iter", "reversed", "map", "filter", "tqdm.tqdm", "tqdm.auto.tqdm"}
_SAME |= {"itertools.chain", "itertools.islice", "itertools.filterfalse"}
# Functions that go through a set; others may only be handed it.
_THROUGH = {"enumerate", "zip", "next", "dict.fromkeys", "random.choice", "random.sample"}
_THROUGH |= {"numpy.array", "numpy.asarray", "numpy.fromiter", "random.shuffle", "random.choices"}

# Methods whose effects are the same in any order, and what a loop may compute for them.
_ANY_ORDER = {"add", "discard", "update", "unlink", "remove", "rmdir", "rmtree", "removedirs"}
_ANY_ORDER |= {"touch", "mkdir", "makedirs", "chmod", "copy", "copy2", "copyfile", "copytree"}
_ANY_ORDER |= {"move", "rename", "replace", "close", "print", *_LOGGING}
_ANY_ORDER |= {"write_text", "write_bytes", "pop", "setattr", "delattr"}
_PLAIN = {"join", "split", "splitext", "basename", "dirname", "abspath", "relpath", "lower", "str"}
_PLAIN |= {"upper", "strip", "removesuffix", "removeprefix", "startswith", "endswith", "exists"}
_PLAIN |= {"relative_to", "with_suffix", "with_name", "as_posix", "resolve", "stat", "Path", "int"}
_PLAIN |= {"len", "float", "max", "min", "getsize", "getmtime", "is_file", "is_dir", "isfile"}
_PLAIN |= {"match", "fullmatch", "search", "group", "groups", "load", "loads", "open", "imread"}
_PLAIN |= {"isdir", "read_text", "read_bytes", "format", "islink", "is_symlink", "replace"}


def find(source: Source) -> Found:
    """Listings and sets of a script whose order has an effect, by rule."""
    for node in source.nodes:
        if _is_listing(source, node):
            if _Use(source).of(node, is_set=False) is not None:
                yield "file-order", node
        elif _is_set(source, node):
            place = _Use(source).of(node, is_set=True)
            if place is not None:
                yield "set-order", place


def _is_listing(source: Source, node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = source.called(node)
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr in _OF_PATHS
    return name in _LISTINGS or (is_method and not name.startswith("tensorflow."))


def _is_set(source: Source, node: ast.AST) -> bool:
    """Whether a node makes a set; one of numbers has the same order in each process."""
    if _is_set_of_numbers(node):
        return False
    return isinstance(node, (ast.Set, ast.SetComp)) or source.called(node) in _SETS


def _is_set_of_numbers(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[values]):
            return _is_set_of_numbers(values)
        case ast.Call(func=ast.Name(id="range")):
            return True
        case ast.Set(elts=elements) | ast.List(elts=elements) | ast.Tuple(elts=elements):
            return all(map(_is_number, elements))
        case ast.SetComp(elt=element) | ast.ListComp(elt=element) | ast.GeneratorExp(elt=element):
            return _is_number(element)
    return False


def _is_number(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, (int, float))
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case ast.Call(func=ast.Name(id="int" | "float" | "len" | "round" | "ord")):
            return True
    return False


class _Use:
    """Follows something without an order to where its order has an effect."""

    def __init__(self, source: Source):
        self._source = source
        self._seen: set[tuple[ast.AST, bool]] = set()

    def of(self, node: ast.AST, *, is_set: bool) -> ast.AST | None:
        """The place where an order has an effect; `None` where there is none.

        Args:
            node: the expression that has the values.
            is_set: whether it is a set, which can be handed on without its order being asked for;
                else it is a sequence.
        """
        if (node, is_set) in self._seen:
            return None
        self._seen.add((node, is_set))
        if any(isinstance(n, (ast.Raise, ast.Assert)) for n in self._source.around(node)):
            return None  # no result hangs on the text of an error
        parent = self._source.parent(node)
        match parent:
            case ast.Call() if node is not parent.func:
                return self._argument(parent, node, is_set)
            case ast.Starred():
                above = self._source.parent(parent)
                return None if isinstance(above, ast.Set) else self._starred(parent, above)
            case ast.comprehension():
                above = self._source.parent(parent)
                if node is not parent.iter or isinstance(above, (ast.SetComp, ast.DictComp)):
                    return None
                return self._or(node, self.of(above, is_set=False))
            case ast.For() | ast.AsyncFor() if node is parent.iter:
                return self._loop(parent, node)
            case ast.Assign(targets=[ast.Tuple(elts=names) | ast.List(elts=names)]):
                return node if len(names) > 1 else None
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                return self._variable(target, is_set)
            case ast.AugAssign(target=target) if not is_set:
                return self._variable(target, is_set)
            case ast.NamedExpr():
                return self._variable(parent.target, is_set) or self.of(parent, is_set=is_set)
            case ast.withitem(optional_vars=ast.Name() as target):
                return self._variable(target, is_set)
            case ast.Subscript() if node is parent.value:
                return node
            case ast.Attribute():
                return self._method(parent, node, is_set)
            case ast.BinOp(op=ast.Sub(), left=ast.Call() as left) if _is_set_of_numbers(left):
                return None
            case ast.BinOp() | ast.BoolOp():
                return self.of(parent, is_set=is_set)
            case ast.IfExp() if node is not parent.test:
                return self.of(parent, is_set=is_set)
            case ast.Return() | ast.Yield() | ast.YieldFrom():
                return self._returned(parent, node, is_set)
            case ast.keyword() if not is_set:
                return self._argument(self._source.parent(parent), node, is_set)
            case ast.List() | ast.Tuple() | ast.Dict() if not is_set:
                return node
        return None

    def _or(self, node: ast.AST, place: ast.AST | None) -> ast.AST | None:
        """The first place that names the set itself, not what was made of it."""
        return None if place is None else node

    def _starred(self, starred: ast.AST, above: ast.AST) -> ast.AST | None:
        if isinstance(above, ast.Call):
            return None if self._is_free_function(above) else starred
        return self._or(starred, self.of(above, is_set=False))

    def _argument(self, call: ast.AST, node: ast.AST, is_set: bool) -> ast.AST | None:
        assert isinstance(call, ast.Call)
        name = self._source.called(call)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if self._is_free_function(call) or (not name and method in {"update", "isin", *_OF_SETS}):
            return None
        above = self._source.parent(call)
        if is_set and name == "iter" and self._source.called(above) == "next":
            return None  # this too
        if name in _SAME:
            return self._or(node, self.of(call, is_set=False))
        if not name and (method == "extend" or (method == "append" and not is_set)):
            return self._collected(call.func, node)
        joins = not name and method == "join" and len(call.args) == 1
        if is_set and not (name in _THROUGH or joins or name.startswith("itertools.")):
            return None
        return node

    def _is_free_function(self, call: ast.Call) -> bool:
        last = _last(call.func)
        return self._source.called(call) in _FREE or "sort" in last or last in _LOGGING

    def _method(self, attribute: ast.Attribute, node: ast.AST, is_set: bool) -> ast.AST | None:
        call = self._source.parent(attribute)
        if not isinstance(call, ast.Call) or call.func is not attribute:
            return None
        if is_set and attribute.attr in _OF_SETS:
            return self.of(call, is_set=True)
        if is_set:  # `pop` is often of a set that has one element only
            loops = any(isinstance(n, ast.While) for n in self._source.around(node))
            return node if attribute.attr == "pop" and loops else None
        return node if attribute.attr in ("pop", "index") else None

    def _variable(self, target: ast.AST, is_set: bool) -> ast.AST | None:
        if not isinstance(target, (ast.Name, ast.Attribute)):
            return None if is_set else target
        if self._is_sorted(target):
            return None
        uses = self._source.uses(target)
        return next((p for use in uses if (p := self.of(use, is_set=is_set))), None)

    def _is_sorted(self, variable: ast.AST) -> bool:
        """Whether a variable is sorted in place after it was bound."""
        above = map(self._source.parent, self._source.uses(variable))
        return any(isinstance(n, ast.Attribute) and n.attr == "sort" for n in above)

    def _collected(self, method: ast.AST, node: ast.AST) -> ast.AST | None:
        """What was put into a list one after the other has an order by that."""
        assert isinstance(method, ast.Attribute)
        if not isinstance(method.value, (ast.Name, ast.Attribute)):
            return node
        return self._or(node, self._variable(method.value, is_set=False))

    def _returned(self, statement: ast.AST, node: ast.AST, is_set: bool) -> ast.AST | None:
        """What a function returns is used where it is called, as far as that is seen."""
        function = self._source.function(statement)
        calls = [
            n
            for n in self._source.nodes
            if isinstance(n, ast.Call) and self._source.definition(n.func) is function
        ]
        if not calls:
            return None if is_set else node
        is_set = is_set and isinstance(statement, ast.Return)
        return next((p for call in calls if (p := self.of(call, is_set=is_set))), None)

    def _loop(self, loop: ast.For | ast.AsyncFor, node: ast.AST) -> ast.AST | None:
        """A loop is free of order where it is certain that it comes to the same in any."""
        match loop.target:
            case ast.Tuple(elts=[_, folders, files]) if self._is_sorted(folders):  # of os.walk
                return self._variable(files, is_set=False)
        names = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        is_free = all(self._is_free_statement(statement, names) for statement in loop.body)
        return None if is_free else node

    def _is_free_statement(self, statement: ast.stmt, names: set[str]) -> bool:
        match statement:
            case ast.Pass() | ast.Continue() | ast.Assert() | ast.Raise() | ast.Delete():
                return True
            case ast.Return(value=ast.Constant() | None):
                return True
            case ast.Expr(value=ast.Constant()):
                return True
            case ast.Expr(value=ast.Yield() as value):
                return self._returned(value, value, is_set=False) is None
            case ast.Expr(value=ast.Call() as call):
                return self._is_free_call(call)
            case ast.Assign(targets=[ast.Subscript(slice=ast.Slice())]):  # of os.walk's folders
                return True
            case ast.Assign(targets=[ast.Subscript() as target]):  # an entry by its name
                key = ast.walk(target.slice)
                return any(isinstance(n, ast.Name) and n.id in names for n in key)
            case ast.Assign(targets=[ast.Name() as target], value=value):
                names.add(target.id)
                calls = (n for n in ast.walk(value) if isinstance(n, ast.Call))
                return all(_last(call.func) in _PLAIN for call in calls)
            case ast.AugAssign(op=ast.Add(), value=value):
                return _is_number(value) or _last(value) in ("st_size", "getsize")
            case ast.AugAssign(op=ast.BitOr()):
                return True
            case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                inner = [n for n in ast.iter_child_nodes(statement) if isinstance(n, ast.stmt)]
                for handler in getattr(statement, "handlers", ()):
                    inner += handler.body
                return all(self._is_free_statement(n, names) for n in inner)
        return False

    def _is_free_call(self, call: ast.Call) -> bool:
        last = _last(call.func)
        if last in ("append", "extend") and isinstance(call.func, ast.Attribute):
            return self._collected(call.func, call) is None
        return last in _ANY_ORDER


def _last(node: ast.AST) -> str:
    """The last name of what is called, or read."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
