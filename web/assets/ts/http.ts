// Calls to our own server. A refusal is thrown with its sentence.

interface Problem {
  title?: string;
  detail?: string;
  next?: string;
  status?: number;
}

export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
}

export async function get<T>(path: string): Promise<T> {
  return call<T>(path, { headers: { Accept: "application/json" } });
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let res: Response;
  try {
    res = await fetch(path, { ...init, credentials: "same-origin" });
  } catch {
    throw new Refusal("The gateway does not answer. Look at your connection, then try again.", 0);
  }
  if (res.ok) return (await res.json()) as T;
  let p: Problem = {};
  try {
    p = (await res.json()) as Problem;
  } catch {
    // The answer was no problem document; its status has to do.
  }
  const detail = p.detail ?? `The gateway answered with status ${res.status}`;
  throw new Refusal(sentence(detail) + (p.next ? " " + sentence(p.next) : ""), res.status);
}

function sentence(s: string): string {
  const t = s.charAt(0).toUpperCase() + s.slice(1);
  return /[.!?]$/.test(t) ? t : t + ".";
}
