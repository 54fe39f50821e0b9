"""Values as JSON text and back, with versioned tags for what JSON does not have.

A tag is an object of one key: `{"jobtest:path/1": "/x"}`. A dict of the user's that looks like one, or has
keys that are not text, is stored as a list of keys and values under a tag of its own. Reading text runs no
code that the text names: classes come from a `Home` or not at all. What lives here: encoding, decoding,
digests. What does not: where texts are kept.
"""

from jobtest.state.codec.digest import digest_of
from jobtest.state.codec.home import Home, ModuleHome
from jobtest.state.codec.reading import Changed, decode
from jobtest.state.codec.writing import Encoded, NotStorable, encode

__all__ = ["Changed", "Encoded", "Home", "ModuleHome", "NotStorable", "decode", "digest_of", "encode"]
