"""What a deploy node holds: bundles, where they lie, read in place; and bundles that were taken in, blob by blob."""

from deploybundle.store.pruning import Pruned, prune
from deploybundle.store.rebuild import StoreFull
from deploybundle.store.store import Held, NotInStore, Store, StoreTooNew
from deploybundle.store.taking import NoRoom, Taken, take

__all__ = ["Held", "NoRoom", "NotInStore", "Pruned", "Store", "StoreFull", "StoreTooNew", "Taken", "prune", "take"]
