// The browser's side of WebAuthn. Options and credentials travel in the JSON
// shapes of WebAuthn Level 3, clause 5.1.8 to 5.1.10.

interface Wrapped {
  publicKey?: Record<string, unknown>;
}

const inner = (options: unknown): any => (options as Wrapped).publicKey ?? options;

function supported(): void {
  const p = window.PublicKeyCredential as any;
  if (!window.isSecureContext) throw new Error("Keys work over HTTPS or on localhost only. Open the gateway by its https:// address.");
  if (!p?.parseRequestOptionsFromJSON) throw new Error("This browser is too old for keys. Update it, or use a current Firefox, Chrome, Edge or Safari.");
}

export async function create(options: unknown): Promise<unknown> {
  supported();
  const publicKey = (PublicKeyCredential as any).parseCreationOptionsFromJSON(inner(options));
  return wait(navigator.credentials.create({ publicKey }));
}

export async function touch(options: unknown): Promise<unknown> {
  supported();
  const publicKey = (PublicKeyCredential as any).parseRequestOptionsFromJSON(inner(options));
  return wait(navigator.credentials.get({ publicKey }));
}

async function wait(pending: Promise<Credential | null>): Promise<unknown> {
  try {
    const credential = await pending;
    if (!credential) throw new Error("The key did not answer. Try again.");
    return (credential as any).toJSON();
  } catch (e) {
    throw new Error(worded(e as Error));
  }
}

// Browsers tell little of why a key said no, so that sites cannot probe for it.
function worded(e: Error): string {
  switch (e.name) {
    case "NotAllowedError":
      return "The key was not touched in time, was cancelled, or did not verify you by PIN or finger. Try again.";
    case "InvalidStateError":
      return "This key is enrolled here already. Take another one.";
    case "NotSupportedError":
      return "This key cannot make the kind of signature that is needed. Take another one.";
    case "SecurityError":
      return "This page's address is not the one that keys are bound to. Open the gateway by its own address.";
    case "AbortError":
      return "Cancelled.";
  }
  return e.message;
}

/** challengeOf returns the challenge, base64url, out of request options. */
export const challengeOf = (options: unknown): string => String(inner(options).challenge ?? "");
