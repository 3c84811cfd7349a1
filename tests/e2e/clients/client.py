"""Two stock clients in Python: client.py URL_OF_ALICE URL_OF_BOB TRANSPORTS. Says what they saw, as JSON."""
import json, sys, threading
import socketio

ALICE, BOB, TRANSPORTS = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
COUNT = 100
received, all_there = [], threading.Event()
alice, bob = socketio.Client(), socketio.Client()

@bob.on("chat")
def chat(meta, text, data):
    return [meta["from"] == alice.get_sid(), text, data]

@bob.on("number")
def number(meta, value):
    received.append(value)
    if len(received) == COUNT:
        all_there.set()

for client, url in ((alice, ALICE), (bob, BOB)):
    client.connect(url, transports=TRANSPORTS, wait_timeout=20)
seen = {"joined": [client.call("@join", "python") for client in (alice, bob)]}
seen["nodes"] = [client.call("@whoami")["node"] for client in (alice, bob)]
seen["transports"] = [client.transport() for client in (alice, bob)]
answer = alice.call("@ask", ("python", "chat", "é", {"x": [b"\x00\xff"]}))
seen["expected"], [[is_from_alice, text, data]] = answer["expected"], answer["responses"]
seen["asked"] = [is_from_alice, text, data["x"][0].hex()]
for value in range(COUNT):
    alice.emit("@to", ("python", "number", value))
seen["all"] = all_there.wait(20) and received == list(range(COUNT))
for client in (alice, bob):
    client.disconnect()
print(json.dumps(seen))
