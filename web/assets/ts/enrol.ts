// Enrolling a key: by an invitation's link, whose token stands behind the #,
// or by a login and a key that is enrolled already.

import { busy, find, say } from "./dom";
import { post } from "./http";
import { challengeOf, create, touch } from "./webauthn";
import { check, mismatch, Challenge } from "./sign";

interface Ceremony {
  id: string;
  options: unknown;
}

interface Invited {
  title: string;
  vendor: string;
  roles: string[];
  expires: string;
}

export function bindEnrol(): void {
  const form = find<HTMLFormElement>("#enrol");
  if (!form) return;
  const own = form.hasAttribute("data-own");
  const token = own ? "" : decodeURIComponent(location.hash.slice(1));
  if (!own) void greet(form, token);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const status = find("#enrol-status");
    const button = find<HTMLButtonElement>("button[type=submit]", form);
    busy(button, true);
    try {
      const label = find<HTMLInputElement>("#label")!.value.trim();
      const begun = await post<Ceremony>("/enrol/begin", own ? { label } : { token, label });
      say(status, "Touch the new key.");
      const credential = await create(begun.options);
      const { challenges } = await post<{ challenges: Challenge[] }>("/enrol/created", { id: begun.id, credential });
      say(status, "");
      const assertions: unknown[] = [];
      for (const [i, c] of challenges.entries()) {
        assertions.push(await signOne(c, i === 0 ? "Read, then touch the new key again" : "Now touch a key that you have already"));
      }
      say(status, "Signed. Handing it in…");
      const { next } = await post<{ next: string }>("/enrol/finish", { id: challenges[0].id, assertions });
      location.assign(next);
    } catch (err) {
      find("#enrol-sign")!.hidden = true;
      say(status, (err as Error).message, true);
      busy(button, false);
    }
  });
}

async function greet(form: HTMLFormElement, token: string): Promise<void> {
  const who = find("#enrol-who");
  if (!token) {
    say(who, "This page is reached by the link of an invitation. Ask an administrator for one.");
    return;
  }
  try {
    const p = await post<Invited>("/enrol/who", { token });
    const until = new Date(p.expires).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    say(who, `You are ${p.title}, ${p.vendor ? "of " + p.vendor : "of the staff"}, as ${p.roles.join(", ")}. The invitation is good until ${until}.`);
    form.hidden = false;
    find("#label")?.focus();
  } catch (e) {
    say(who, "");
    say(find("#enrol-status"), (e as Error).message, true);
  }
}

function signOne(c: Challenge, title: string): Promise<unknown> {
  const box = find("#enrol-sign")!;
  const go = find<HTMLButtonElement>("#enrol-go")!;
  say(find("h2, h3", box), title);
  say(find("#enrol-text"), c.sentence);
  box.hidden = false;
  go.focus();
  return new Promise((resolve, reject) => {
    go.onclick = async () => {
      busy(go, true);
      try {
        if (!(await check(c.statement, c.sentence, challengeOf(c.options))).same) throw new Error(mismatch);
        say(find("#enrol-status"), "Touch the key.");
        resolve(await touch(c.options));
      } catch (e) {
        reject(e);
      } finally {
        busy(go, false);
      }
    };
  });
}
