// One visit to a node: connect, ask, say what was seen. Violations of the page's policy are part of that.

const violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => violations.push([violatedDirective, blockedURI]));

export async function visit(open) {
  try {
    const socket = open();
    return await ask(socket).catch((error) => ({ rejected: String(error), violations }));
  } catch (error) {
    return { thrown: String(error), violations };
  }
}

async function ask(socket) {
  const connected = new Promise((resolve) => socket.on("connect", resolve));
  const { id, node } = await socket.emitWithAck("@whoami");
  await connected;
  return { isConnected: socket.connected, isItself: id === socket.id, node, violations };
}
