from jobtest.core.model import Phase
from jobtest.core.tail import Tail


def test_while_one_thing_is_closed_or_cleaned_up_no_other_begins():
    tail = Tail()
    tail.owe("a", 1)
    tail.owe("b", 2)
    assert tail.next(at_the_end=True) == ("b", Phase.CLEANUP)
    tail.start("b", Phase.CLEANUP)
    assert tail.next(at_the_end=True) is None
    assert tail.end("b", Phase.CLEANUP)
    assert tail.next(at_the_end=True) == ("a", Phase.CLEANUP)
