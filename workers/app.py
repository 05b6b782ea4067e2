"""The application as Dramatiq's own command takes it: `dramatiq workers.app --queues email`.

`python -m workers` builds the same in its sending child. Reads the environment when it is imported.
"""

from contextlib import ExitStack

import dramatiq

from workers import fence
from workers.wiring import wire

fence.install()
# Embedded servers, where the environment names none, stay in use for as long as this process lives.
_in_use = ExitStack()

broker = wire(_in_use).broker
dramatiq.set_broker(broker)
