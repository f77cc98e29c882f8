// The browser's own look at what a key is about to sign: the statement in
// canonical form, its SHA-256, and whether that is the challenge.

/** canonical spells a JSON value as the server does: sorted keys, no blanks. */
export function canonical(v: unknown): string {
  if (Array.isArray(v)) return "[" + v.map(canonical).join(",") + "]";
  if (v !== null && typeof v === "object") {
    const o = v as Record<string, unknown>;
    const keys = Object.keys(o).sort();
    return "{" + keys.map((k) => JSON.stringify(k) + ":" + canonical(o[k])).join(",") + "}";
  }
  return JSON.stringify(v);
}

export async function sha256(data: BufferSource): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

export const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");

export const base64url = (b: Uint8Array): string => btoa(String.fromCharCode(...b)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** check reports the hash of a statement, and whether the sentence on the
 * screen stands in it and the key's challenge is that hash. */
export async function check(statement: unknown, sentence: string, challenge: string): Promise<{ hash: string; same: boolean }> {
  const digest = await sha256(new TextEncoder().encode(canonical(statement)));
  const inside = (statement as { sentence?: unknown }).sentence;
  return { hash: hex(digest), same: inside === sentence && base64url(digest) === challenge.replaceAll("=", "") };
}
