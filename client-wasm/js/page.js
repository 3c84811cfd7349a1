// What a page or a worker learns about its network and about itself. Elsewhere there is nothing to learn.

const [OFFLINE, ONLINE, CHANGED, ABSENT, SHOWN] = [0, 1, 2, 3, 4];

/** Calls `listener` with a number for each change; returns what ends it. */
export function watchPage(listener) {
  const { document, navigator } = globalThis;
  const ends = [];
  const watch = (target, event, heard) => {
    if (!target?.addEventListener) return;
    target.addEventListener(event, heard);
    ends.push(() => target.removeEventListener(event, heard));
  };
  watch(globalThis, "offline", () => listener(OFFLINE));
  watch(globalThis, "online", () => listener(ONLINE));
  watch(globalThis, "pageshow", () => listener(SHOWN));
  watch(document, "visibilitychange", () => document.visibilityState === "visible" && listener(SHOWN));
  watch(document, "resume", () => listener(SHOWN));
  watch(navigator?.connection, "change", () => listener(CHANGED));
  if (navigator?.onLine === false) listener(ABSENT);
  return () => ends.forEach((end) => end());
}
