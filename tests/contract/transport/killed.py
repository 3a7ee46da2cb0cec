"""A consumer that is killed between the server's giving and its own taking: run by a test."""

import os
import signal
import sys
from pathlib import Path

from contract.queue import make_app
from contract.settings import load_settings
from tests.contract.transport.counter import counter

app = make_app(load_settings({}, Path("/nowhere"), redis_url=sys.argv[1]))
with counter(app) as consumer:
    consumer.channel.connection._deliver = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    consumer.wait(1)
