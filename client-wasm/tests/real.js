// An owner for the tests against a real node: it keeps its lines until somebody takes them.

const DEADLINE_MS = 20_000;

export class Witness {
  constructor(url, transports) {
    this.options = { url: `${url}/socket.io/`, seed: Math.random(), transports: transports.split(",") };
    this.lines = [];
    this.waiting = [];
    const names = ["connectError", "disconnected", "ackFailed", "dropped", "linkOpened", "linkClosed"];
    const more = ["reconnectAttempt", "reconnected", "reconnectError", "reconnectFailed"];
    this.owner = Object.fromEntries([...names, ...more].map((name) => [name, () => {}]));
    Object.assign(this.owner, {
      wantAuth: (socket, ticket) => this.note(`want auth ${socket} ${ticket}`),
      connected: (socket, id) => this.note(`connected ${socket} ${id}`),
      event: (socket, json) => this.note(`event ${socket} ${json}`),
      acked: (ack, json) => this.note(`ack ${ack} ${json}`),
      linkUpgraded: (transport) => this.note(`link upgraded ${transport}`),
      idle: () => this.note("idle"),
    });
  }

  note(line) {
    this.lines.push(line);
    for (const look of [...this.waiting]) look();
  }

  receive(start) {
    return new Promise((resolve, reject) => {
      const give = (done, value) => {
        clearTimeout(late);
        this.waiting = this.waiting.filter((other) => other !== look);
        done(value);
      };
      const look = () => {
        const at = this.lines.findIndex((line) => line.startsWith(start));
        if (at >= 0) give(resolve, this.lines.splice(at, 1)[0].slice(start.length));
      };
      const late = setTimeout(() => give(reject, `not received: ${start} (but ${this.lines})`), DEADLINE_MS);
      this.waiting.push(look);
      look();
    });
  }
}
