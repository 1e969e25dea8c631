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


SERVER = """
import grpc, sys
from concurrent.futures import ThreadPoolExecutor

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""

CLIENTS = """
import grpc, sys
from sentinel_client import Client, SyncClient, TransportError, SentinelError

address = "127.0.0.1:" + sys.argv[1]

def in_child(function):
    # Returns what the function prints in a forked child.
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        started = time.monotonic()
        try:
            text = function()
        except SentinelError as error:
            text = str(error)
        assert time.monotonic() - started < 10
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text

def blocking(client):
    def call():
        client.get("j1")
        return "answered"
    return call

def asynchronous(create):
    def call():
        async def get():
            await create().get("j1")
        asyncio.run(get())
        return "answered"
    return call
"""

CREATED_BEFORE_FORK = """
clients = SyncClient(address), Client(address)
for _ in range(3):
    assert in_child(blocking(clients[0])) == "answered"
    assert in_child(asynchronous(lambda: clients[1])) == "answered"
# The children have not used gRPC in this process.
assert blocking(clients[0])() == "answered"
print("ok")
"""

USED_BEFORE_FORK = """
used = SyncClient(address)
used.get("j1")
for child in (blocking(used), blocking(SyncClient(address)), asynchronous(lambda: Client(address))):
    text = in_child(child)
    assert "this process was forked from one that had used gRPC" in text, text
print("ok")
"""

OTHER_LIBRARY_BEFORE_FORK = """
channel = grpc.insecure_channel(address)
channel.unary_unary("/a/b")(b"")
def late():
    return Client(address, deadline_s=1)
text = in_child(asynchronous(late))
assert text == "answered" or "timeout" in text or "cannot reach" in text, text
print("ok")
"""


class ProcessTest(unittest.TestCase):
    def run_program(self, program: str, *arguments: str) -> None:
        command = [sys.executable, "-c", PREFIX + program, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, "ok\n"), result.stderr)

    def test_a_forked_child_has_its_own_signals(self) -> None:
        self.run_program(FORK)

    def test_two_workers_in_one_process_drain_at_one_signal(self) -> None:
        self.run_program(TWO_WORKERS)

    def test_the_signal_handlers_of_the_program_come_back(self) -> None:
        self.run_program(HOST_HANDLERS)

    def test_a_client_in_a_forked_child_answers_or_says_why_not(self) -> None:
        command = [sys.executable, "-c", SERVER]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None and server.stdout is not None
            port = server.stdout.readline().strip()
            for program in (CREATED_BEFORE_FORK, USED_BEFORE_FORK, OTHER_LIBRARY_BEFORE_FORK):
                with self.subTest(program):
                    self.run_program(CLIENTS + program, port)
            server.stdin.close()
            server.kill()


if __name__ == "__main__":
    unittest.main()
