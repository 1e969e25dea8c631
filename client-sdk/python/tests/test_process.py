"""A worker as a part of its process: signals, forked children, and several workers."""

import subprocess
import sys
import unittest

# Each program runs in its own process and prints `ok` when its assertions hold.
PREFIX = """
import asyncio, multiprocessing, os, signal, threading, time
from sentinel_client import Worker, WorkerEvent, DrainStarted

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

def new_worker(events=None):
    hook = None if events is None else events.append
    return Worker("127.0.0.1:1", handlers={"k": lambda job: None}, on_event=hook)

async def installed(previous):
    while any(signal.getsignal(number) == previous[number] for number in SIGNALS):
        await asyncio.sleep(0.001)

async def wait_for(condition):
    while not condition():
        await asyncio.sleep(0.001)
"""

FORK = """
def sleep(ready):
    ready.set()
    time.sleep(60)

async def main():
    context = multiprocessing.get_context("fork")
    events = []
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    running = asyncio.create_task(new_worker(events).run(shutdown_signals=SIGNALS))
    await installed(previous)
    for number in SIGNALS:
        # As a handler does that runs on a thread.
        def fork():
            ready = context.Event()
            child = context.Process(target=sleep, args=(ready,))
            child.start()
            ready.wait(30)
            os.kill(child.pid, number)
            child.join(30)
            return child.exitcode
        exit_code = await asyncio.to_thread(fork)
        assert exit_code == -number, exit_code
    assert not running.done() and not any(isinstance(event, DrainStarted) for event in events)
    running.cancel()
    await asyncio.wait([running])
    assert all(signal.getsignal(number) == previous[number] for number in SIGNALS)

asyncio.run(main())
print("ok")
"""

TWO_WORKERS = """
async def main():
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    running = [asyncio.create_task(new_worker().run(shutdown_signals=SIGNALS)) for _ in range(2)]
    await installed(previous)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*running), 30)
    assert all(signal.getsignal(number) == previous[number] for number in SIGNALS)

asyncio.run(main())
print("ok")
"""

HOST_HANDLERS = """
def host(number, frame):
    pass

async def main():
    for number in SIGNALS:
        signal.signal(number, host)
    for _ in range(2):
        running = asyncio.create_task(new_worker().run(shutdown_signals=SIGNALS))
        await installed({number: host for number in SIGNALS})
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(running, 30)
        assert all(signal.getsignal(number) is host for number in SIGNALS)

asyncio.run(main())
print("ok")
"""


class ProcessTest(unittest.TestCase):
    def run_program(self, program: str) -> None:
        command = [sys.executable, "-c", PREFIX + program]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, "ok\n"), result.stderr)

    def test_a_forked_child_has_its_own_signals(self) -> None:
        self.run_program(FORK)

    def test_two_workers_in_one_process_drain_at_one_signal(self) -> None:
        self.run_program(TWO_WORKERS)

    def test_the_signal_handlers_of_the_program_come_back(self) -> None:
        self.run_program(HOST_HANDLERS)


if __name__ == "__main__":
    unittest.main()
