// What clients call themselves is hostile text: it is shown as text, with what cannot be seen or turns the line around as escapes.

const invisible = /[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e0fff}]/gu;

// visible returns text with an escape for each character that would not show as itself.
export function visible(text) {
  return text.replace(invisible, (c) => {
    const code = c.codePointAt(0);
    return code < 0x100 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u{" + code.toString(16) + "}";
  });
}

// fromBytes decodes UTF-8, and shows each byte that is not as \xHH. What it returns has been made visible, but for the line feeds,
// carriage returns and tabs if layout is kept.
export function fromBytes(bytes, keepLayout = false) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i];
    const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    let c = "";
    if (length > 0) {
      try {
        c = strict.decode(bytes.subarray(i, i + length));
      } catch {
        c = "";
      }
    }
    if (c === "") {
      text += "\\x" + lead.toString(16).padStart(2, "0");
      i++;
      continue;
    }
    text += keepLayout && (c === "\n" || c === "\r" || c === "\t") ? c : visible(c);
    i += length;
  }
  return text;
}

const decoded = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// identify returns what a client is known by here: a key that no other client has, and a label to show. Both stand for exactly
// its bytes. White space cannot be part of an ID, so a key with a blank is none of text.
export function identify(id, base64) {
  return base64 ? { key: " " + base64, label: fromBytes(decoded(base64)) } : { key: id, label: visible(id) };
}

// escaped returns a key's bytes as they stand in a URL.
export function escaped(key) {
  const bytes = key.startsWith(" ") ? decoded(key.slice(1)) : new TextEncoder().encode(key);
  let url = "";
  for (const b of bytes) {
    const c = String.fromCharCode(b);
    url += /[A-Za-z0-9_~-]/.test(c) ? c : "%" + b.toString(16).toUpperCase().padStart(2, "0");
  }
  return url;
}

const segments = "Segmenter" in Intl ? new Intl.Segmenter() : null;

// short cuts a label to so many characters, in the middle: both ends of a long name matter.
export function short(label, most) {
  if (label.length <= most) return label;
  const parts = segments && label.length < 4096 ? [...segments.segment(label)].map((s) => s.segment) : [...label];
  if (parts.length <= most) return label;
  const head = Math.ceil((most - 1) * 0.6);
  return parts.slice(0, head).join("") + "…" + parts.slice(parts.length - (most - 1 - head)).join("");
}

// element makes an element with a class and children; strings become text.
export function element(name, className, ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

// named returns an element for a label, isolated from the direction of what is around it; the whole label is its title.
export function named(label, most = 32) {
  const e = element("bdi", "id", short(label, most));
  if (e.textContent !== label) e.title = label;
  return e;
}

// set changes the text of an element if that is another.
export function set(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

const numbers = new Intl.NumberFormat("en");
export const count = (n) => numbers.format(n);

// rate is a number of things a second.
export function rate(n) {
  if (n < 0.05) return "0";
  return n < 10 ? n.toFixed(1) : count(Math.round(n));
}

// span is a time that passed, in seconds.
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.abs(seconds), sign = seconds < 0 ? "−" : "";
  if (s < 0.0001) return sign + Math.round(s * 1e6) + " µs";
  if (s < 0.9995) return sign + (s * 1000).toFixed(s < 0.0995 ? 1 : 0) + " ms";
  if (s < 9.95) return sign + s.toFixed(1) + " s";
  if (s < 120) return sign + Math.round(s) + " s";
  if (s < 7200) return sign + Math.floor(s / 60) + " min";
  if (s < 172800) return sign + Math.floor(s / 3600) + " h";
  if (s < 63072000) return sign + Math.floor(s / 86400) + " d";
  return sign + Math.floor(s / 31557600) + " y";
}

// clock is a moment in the viewer's own time, to the millisecond.
export function clock(ms) {
  const t = new Date(ms), two = (n) => String(n).padStart(2, "0");
  return two(t.getHours()) + ":" + two(t.getMinutes()) + ":" + two(t.getSeconds()) + "." + String(t.getMilliseconds()).padStart(3, "0");
}

// received returns when the origin received a report, by its clock, in seconds since 1970: the client's time and the skew.
export const received = (time, skew) => Number(time) + Number(skew);
