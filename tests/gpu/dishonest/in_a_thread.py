"""Works in a thread that continues after the call."""

import threading
import time

from cheating import DeferringLSTM

STATUS = "WRONG"
REASON = "in timed call .*|y, a state or a gradient was not there yet, or changed, after the call had returned"


class Cheat(DeferringLSTM):
    def start(self, fill):
        thread = threading.Thread(target=lambda: (time.sleep(0.01), fill()))
        thread.start()
        return thread.join
