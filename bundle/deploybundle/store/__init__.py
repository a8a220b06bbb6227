"""What a deploy node holds: bundles, where they lie, read in place."""

from deploybundle.store.rebuild import StoreFull
from deploybundle.store.store import Held, NotInStore, Store

__all__ = ["Held", "NotInStore", "Store", "StoreFull"]
