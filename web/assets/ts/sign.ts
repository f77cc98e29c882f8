// The one way of everything signed: draw up, show the sentence, touch, hand in.

import { busy, find, say } from "./dom";
import { post } from "./http";
import { challengeOf, touch } from "./webauthn";
import { check } from "./canonical";

export interface Challenge {
  id: string;
  sentence: string;
  statement: unknown;
  options: unknown;
  expires: string;
}

export interface Signed {
  kind: string;
  result: any;
}

const mismatch = "The gateway sent a text that is not what the key would sign. Do not touch. Tell the operator.";

/** sign shows the dialog and resolves with what was done, or null when the
 * person cancelled. */
export async function sign(kind: string, params: unknown, danger = ""): Promise<Signed | null> {
  const drawn = await post<Challenge>("/api/v1/acts", { kind, params });
  return show(drawn, danger);
}

function show(drawn: Challenge, danger: string): Promise<Signed | null> {
  const dialog = find<HTMLDialogElement>("#sign")!;
  const go = find<HTMLButtonElement>("#sign-go")!;
  const cancel = find<HTMLButtonElement>("#sign-cancel")!;
  const status = find("#sign-status");
  dialog.classList.toggle("hot", danger !== "");
  go.className = danger ? "danger" : "primary";
  say(find("#sign-text"), drawn.sentence);
  say(find("#sign-json"), JSON.stringify(drawn.statement, null, 1));
  say(status, "");
  go.disabled = true;
  void compare(drawn, go);

  const expires = Date.parse(drawn.expires);
  return new Promise((resolve) => {
    let working = false;
    const clock = setInterval(() => tick(), 500);
    const tick = () => {
      const left = Math.max(0, Math.round((expires - Date.now()) / 1000));
      say(find("#sign-left"), working ? "" : left > 0 ? `Touch within ${left} s` : "");
      if (left === 0 && !working) {
        say(status, "The time to sign is over. Close this and begin again: what you sign must be fresh.", true);
        go.disabled = true;
      }
    };
    const end = (with_: Signed | null) => {
      clearInterval(clock);
      go.onclick = cancel.onclick = dialog.oncancel = null;
      if (dialog.open) dialog.close();
      resolve(with_);
    };
    cancel.onclick = () => end(null);
    dialog.oncancel = (e) => {
      e.preventDefault();
      if (!working) end(null);
    };
    go.onclick = async () => {
      working = true;
      busy(go, true);
      try {
        say(status, "Now touch your key.");
        const assertion = await touch(drawn.options);
        say(status, danger || "Signed. Handing it in…");
        cancel.disabled = true;
        end(await post<Signed>("/api/v1/acts/" + encodeURIComponent(drawn.id), { assertion }));
      } catch (e) {
        say(status, (e as Error).message, true);
      } finally {
        working = false;
        cancel.disabled = false;
        busy(go, false);
        tick();
      }
    };
    tick();
    dialog.showModal();
    find("#sign-text")?.focus();
  });
}

async function compare(drawn: Challenge, go: HTMLButtonElement): Promise<void> {
  const tag = find("#sign-match")!;
  const { hash, same } = await check(drawn.statement, drawn.sentence, challengeOf(drawn.options));
  say(find("#sign-hash"), hash);
  tag.className = "tag " + (same ? "ok" : "stop");
  tag.textContent = same ? "✓ This text is what the key signs" : "✕ Not what the key signs";
  if (same) go.disabled = false;
  else say(find("#sign-status"), mismatch, true);
}

export { check, mismatch };
