// An owner for the tests against a real node: it keeps what it hears until somebody asks for it.

const DEADLINE_MS = 20_000;

export class Witness {
  constructor(url, transports) {
    this.options = { url: `${url}/socket.io/`, seed: Math.random(), transports: transports.split(",") };
    this.lines = [];
    this.waiting = [];
    const names = ["connectError", "disconnected", "callFailed", "dropped", "linkOpened", "linkClosed"];
    const more = ["reconnectAttempt", "reconnected", "reconnectError", "reconnectFailed"];
    this.owner = Object.fromEntries([...names, ...more].map((name) => [name, () => {}]));
    Object.assign(this.owner, {
      wantAuth: (socket, ticket) => this.say(`want auth ${socket} ${ticket}`),
      connected: (socket, id) => this.say(`connected ${socket} ${id}`),
      event: (socket, json) => this.say(`event ${socket} ${json}`),
      acked: (ack, json) => this.say(`ack ${ack} ${json}`),
      linkUpgraded: (transport) => this.say(`link upgraded ${transport}`),
      idle: () => this.say("idle"),
    });
  }

  say(line) {
    this.lines.push(line);
    for (const look of [...this.waiting]) look();
  }

  hears(start) {
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
      const late = setTimeout(() => give(reject, `not heard: ${start} (but ${this.lines})`), DEADLINE_MS);
      this.waiting.push(look);
      look();
    });
  }
}
