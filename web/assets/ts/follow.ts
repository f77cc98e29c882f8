// The live stream of a session as a driver of the player: what comes is drawn
// at once, and what was before is there when the page is.

import type { Mark } from "./marks";

interface Heard {
  add(m: Mark): void;
  empty(words: string): void;
}

interface Callbacks {
  dispatch(name: string, data?: unknown): void;
}

interface Head {
  width: number;
  height: number;
}

type Told = [at: number, code: string, data: string];

const none = "Marks appear here as they come.";

export function follow(url: string, marks: Heard) {
  return ({ dispatch }: Callbacks) => {
    let stream: EventSource | undefined;
    let began = 0; // performance.now() at the recording's zero
    const hear = (e: MessageEvent<string>) => {
      const data = JSON.parse(e.data) as Head | Told;
      if (!Array.isArray(data)) {
        // The beginning, or the beginning anew after a lost connection.
        began = performance.now();
        marks.empty(none);
        dispatch("reset", { size: { cols: data.width, rows: data.height } });
        dispatch("playing");
        return;
      }
      const [at, code, text] = data;
      began = Math.min(began, performance.now() - at * 1000);
      if (code === "o") dispatch("output", text);
      else if (code === "r") resize(text);
      else if (code === "m") marks.add({ at, label: text });
    };
    const resize = (text: string) => {
      const [cols, rows] = text.split("x").map(Number);
      if (cols && rows) dispatch("resize", { cols, rows });
    };
    return {
      play(): boolean {
        if (stream) return true;
        dispatch("play");
        stream = new EventSource(url);
        stream.addEventListener("message", hear);
        stream.addEventListener("error", () => dispatch("loading"));
        stream.addEventListener("done", () => {
          stream?.close();
          dispatch("ended", { message: "The session has ended" });
        });
        addEventListener("pagehide", () => stream?.close());
        return true;
      },
      stop: () => stream?.close(),
      getCurrentTime: () => (began ? (performance.now() - began) / 1000 : 0),
    };
  };
}
