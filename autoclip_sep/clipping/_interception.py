"""Taking a method of one object over for a while, such as the step() of an optimizer."""

import weakref
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, NoReturn, TypeAlias

#: Called as (the object, its method as it was, positional, keyword arguments).
Around: TypeAlias = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def intercept(target: Any, name: str, around: Around) -> Callable[[], None]:
    """Has `around` called in place of a method of this object, until what is returned is called.

    On the instance, as torch's schedulers do it: a step hook can't leave the step out. Both kinds
    of patches may lie on one another in any order, and be taken away in any other. The object
    refuses to be copied and pickled meanwhile: its copy would go without.
    """
    before = vars(target).get(name)
    method = getattr(type(target), name)
    reference = weakref.ref(target)  # no circle: an optimizer's state goes as soon as it does

    def taken_over(self: Any, *args: Any, **kwargs: Any) -> Any:
        original = partial(method, self) if before is None else before
        return original(*args, **kwargs) if patch.inert else around(self, original, args, kwargs)

    @wraps(method if before is None else before)
    def bound(*args: Any, **kwargs: Any) -> Any:
        return taken_over(reference(), *args, **kwargs)

    patch: Any = bound
    patch.inert, patch.before = False, before
    patch.__func__ = taken_over  # what torch's schedulers patch
    setattr(target, name, patch)
    target.__reduce_ex__ = partial(_refuse_to_copy, type(target).__name__)

    def remove() -> None:
        patch.inert = True  # somebody else's may lie on top: then it stays, and passes through
        if (target := reference()) is None:
            return
        own = vars(target)
        while getattr(own.get(name), "inert", False):
            below = own.pop(name).before
            if below is not None:
                own[name] = below
        if not hasattr(own.get(name), "inert"):
            own.pop("__reduce_ex__", None)

    return remove


def is_intercepted(target: Any, name: str) -> bool:
    """Whether calls of this method are taken over at present."""
    return not getattr(vars(target).get(name), "inert", True)


def _refuse_to_copy(kind: str, protocol: object) -> NoReturn:
    raise TypeError(
        f"a copy of this {kind} would lose the clipper attached to it: save state_dict(), or "
        "remove() the handle, copy, and attach to both"
    )
