// A tunnel of one grant: a key is made here, the touch is for its public half,
// and the configuration is put together here. The private key stands in no
// request and in no storage: it is gone with the page.

import qrcode from "qrcode-generator";
import { busy, find, say } from "./dom";
import { sign } from "./sign";

/** Tunnel is what the gateway answers. */
interface Tunnel {
  session: string;
  address4: string;
  address6: string;
  server_key: string;
  preshared_key: string;
  endpoint: string;
  allowed_ips: string[];
  dns: string[];
  mtu: number;
  until: string;
}

const keepalive = 25; // seconds, so that a NAT on the way keeps its hole
const keyBytes = 32;

interface KeyPair {
  private: string;
  public: string;
}

async function newKey(): Promise<KeyPair> {
  const pair = (await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"])) as CryptoKeyPair;
  const inside = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)); // RFC 8410: the key is its end
  const outside = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { private: base64(inside.slice(-keyBytes)), public: base64(outside) };
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** configuration is a file as wg-quick(8) and the WireGuard apps read it. */
export function configuration(t: Tunnel, key: string): string {
  return [
    "[Interface]",
    `PrivateKey = ${key}`,
    `Address = ${t.address4}/32, ${t.address6}/128`,
    `DNS = ${t.dns.join(", ")}`,
    `MTU = ${t.mtu}`,
    "",
    "[Peer]",
    `PublicKey = ${t.server_key}`,
    `PresharedKey = ${t.preshared_key}`,
    `Endpoint = ${t.endpoint}`,
    `AllowedIPs = ${t.allowed_ips.join(", ")}`,
    `PersistentKeepalive = ${keepalive}`,
    "",
  ].join("\n");
}

function start(form: HTMLFormElement): void {
  const button = find<HTMLButtonElement>("button", form)!;
  const status = find("#tunnel-status");
  button.disabled = false;
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    say(status, "");
    busy(button, true);
    try {
      const key = await newKey().catch(() => {
        throw new Error("This browser cannot make a WireGuard key. Use a current one, or the command below.");
      });
      const done = await sign("session.open", { grant: form.dataset.grant, peer: key.public });
      if (done) show(done.result as Tunnel, key.private);
    } catch (err) {
      say(status, (err as Error).message, true);
    } finally {
      busy(button, false);
    }
  });
}

function show(t: Tunnel, key: string): void {
  const text = configuration(t, key);
  const box = find("#tunnel-config")!;
  const file = find<HTMLAnchorElement>("#tunnel-file", box)!;
  file.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  find("#tunnel-qr", box)!.replaceChildren(picture(text));
  say(find("#tunnel-text", box), text);
  find<HTMLAnchorElement>("#tunnel-page", box)!.href = `/sessions/${encodeURIComponent(t.session)}`;
  find("#tunnel-open")!.hidden = true;
  box.hidden = false;
  find("h2", box)?.focus();
  // Leaving throws the private key away, and with it the tunnel's use.
  addEventListener("beforeunload", (e) => {
    if (!box.dataset.saved) e.preventDefault();
  });
  for (const el of [file, find("#tunnel-page", box)!]) el.addEventListener("click", () => (box.dataset.saved = "yes"));
}

const quiet = 4; // modules of white around a code (ISO/IEC 18004)

/** picture is a QR code as SVG, dark on white in both colour schemes. */
function picture(text: string): SVGSVGElement {
  const code = qrcode(0, "L");
  code.addData(text);
  code.make();
  const n = code.getModuleCount();
  let path = "";
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) if (code.isDark(y, x)) path += `M${x},${y}h1v1h-1z`;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `${-quiet} ${-quiet} ${n + 2 * quiet} ${n + 2 * quiet}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "The same configuration as a QR code, for the WireGuard app of a phone or tablet");
  const white = document.createElementNS(space, "rect");
  for (const [k, v] of Object.entries({ x: -quiet, y: -quiet, width: n + 2 * quiet, height: n + 2 * quiet, fill: "#fff" })) white.setAttribute(k, String(v));
  const dark = document.createElementNS(space, "path");
  dark.setAttribute("d", path);
  dark.setAttribute("fill", "#000");
  svg.append(white, dark);
  return svg;
}

const form = find<HTMLFormElement>("form[data-tunnel]");
if (form) start(form);
