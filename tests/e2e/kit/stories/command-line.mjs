// Flags that cannot be meant: the sentence and the exit code.

import { moorline } from "../command.mjs";

const BAD = [
  ["--pong"],
  ["start"],
  ["--node", "s.1"],
  ["--listen", "3000"],
  ["--ping-interval", "25"],
  ["--max-payload", "1"],
  ["--limit", "rooms=1"],
  ["--limit", "rooms_max=0"],
  ["--redis", "redis://:secret@127.0.0.1:x"],
  ["--allow-origin", "example"],
  ["--namespace", "chat"],
  ["--listen", "127.0.0.1:1", "--admin", "127.0.0.1:1"],
  ["--redis-channel", "moorline:x"],
  ["--tls-cert", "/dev/null"],
  ["probe"],
  ["probe", "localhost"],
];

export const title = "the command line: one sentence and exit code 2";

export async function act(story) {
  for (const words of BAD) {
    story.chapter(["moorline", ...words].join(" "));
    const { code, stdout, stderr } = await moorline(words);
    story.transcript.line("exit code", "<", `${code}`);
    if (stdout) story.transcript.bytes("stdout", "<", Buffer.from(stdout));
    story.transcript.bytes("stderr", "<", Buffer.from(stderr));
  }
}
