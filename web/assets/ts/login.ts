import { busy, find, say } from "./dom";
import { post } from "./http";
import { touch } from "./webauthn";

interface Ceremony {
  id: string;
  options: unknown;
}

export function bindLogin(): void {
  const form = find<HTMLFormElement>("#login");
  if (!form) return;
  const status = find("#login-status");
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const button = find<HTMLButtonElement>("button", form);
    busy(button, true);
    try {
      const c = await post<Ceremony>("/login/begin", {});
      say(status, "Now touch your key.");
      const credential = await touch(c.options);
      say(status, "Signing in…");
      const { next } = await post<{ next: string }>("/login/finish", { id: c.id, credential, next: form.dataset.next ?? "/" });
      location.assign(next);
    } catch (err) {
      say(status, (err as Error).message, true);
      busy(button, false);
    }
  });
}
