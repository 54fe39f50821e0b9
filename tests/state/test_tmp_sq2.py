import sys; sys.path.insert(0,"/work/main/tests/state")
import stores
from jobtest.state.sqlite import SqliteStore
class InSqlite(stores.Stand):
    def another(self): return SqliteStore(self.folder/"state.db", durability="fast")
    def kill(self, store):
        store._lock.release()
        store._reader.close()
        store._writer and store._writer._connection.close()
stores.STORES.append(InSqlite)
from test_stores_agree import *
TestStoresAgree.settings = settings(stateful_step_count=50,max_examples=300)
