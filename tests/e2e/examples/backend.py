"""A backend: logins, private messages, broadcasts. Run as many workers as you like: backend.py NAME"""
import json, os, sys
import redis

STREAM, GROUP, WORKER = "events", "backend", sys.argv[1]
CLAIM_AFTER_MS = 5000  # what a worker has not finished by then, another one takes over
db = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6390"), decode_responses=True)

def publish(target, **message):
    db.publish("socket", json.dumps({"socketId": target, **message}))

def handle(entry):
    me, user = entry["socketId"], db.hget("user_of_socket", entry["socketId"])
    answer = None
    match entry["type"], entry["event"], entry["args"]:
        case "connect", _, [{"user": str(name)}]:  # check a password or a token here
            db.hset("user_of_socket", me, name)
            db.hset("socket_of_user", name, me)
            publish(me, event="welcome", args=[name])
        case "disconnect", _, _:
            db.hdel("user_of_socket", me)
        case "event", "private", [str(name), str(text)] if user:
            to = db.hget("socket_of_user", name)
            answer = {"delivered": bool(to and db.hexists("user_of_socket", to))}
            if answer["delivered"]:
                publish(to, event="private", args=[user, text])
        case "event", "broadcast", [str(room), str(text)] if user:
            publish(room, event="broadcast", args=[user, text])
            answer = {"ok": True}
        case "event", _, _:
            answer = {"error": "bad_request" if user else "not_logged_in"}
    if entry["ack"] is not None and answer:
        publish(me, ack=entry["ack"], response=answer)

try:
    db.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
except redis.ResponseError:
    pass  # another worker made it
cursor = "0-0"
while True:
    cursor, entries, *_ = db.xautoclaim(STREAM, GROUP, WORKER, CLAIM_AFTER_MS, cursor, count=10)
    for _, fresh in db.xreadgroup(GROUP, WORKER, {STREAM: ">"}, count=10, block=1000):
        entries += fresh
    for number, fields in entries:
        try:
            handle(json.loads(fields["data"]))
        except ValueError as error:  # a client may send what Python cannot hold, such as a number of 5,000 digits
            print(f"left out {number}: {error}", file=sys.stderr)
        db.xack(STREAM, GROUP, number)
