// How much a test does: enough to see a fault in `make test`, and with `SOAK` in the environment, as `make soak` sets
// it, as much as it takes to see a rare one.
//
// It decides amounts and never what is told: both forms of a test are the same code and make the same assertions.

const isSoaking = Boolean(process.env.SOAK);

/** An amount: of clients, messages, rounds or milliseconds. */
export const amount = (brief, long) => (isSoaking ? long : brief);
