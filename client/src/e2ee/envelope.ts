import { fromBase64Url, toBase64Url } from './base64url.ts';

/** A user's key pair for ECDH on P-256, which every WebCrypto has. */
export type KeyPair = { publicKey: CryptoKey; privateKey: CryptoKey };

/** What a message is bound to: opened in another place, it does not open. */
export type Binding = { conversation: string; from: string; id: string };

/** A sealed message: `e2e1.` and then the sender's one-time key, the wrapped keys and the text, each base64url. */
const PREFIX = 'e2e1.';
const CURVE = { name: 'ECDH', namedCurve: 'P-256' } as const;
const NONCE_BYTES = 12;

const utf8 = new TextEncoder();

/** Makes a key pair. @param extractable false keeps the private key where no script can read it (IndexedDB holds it as it is) */
export async function generateKeyPair(extractable = false): Promise<KeyPair> {
  return (await crypto.subtle.generateKey(CURVE, extractable, ['deriveBits'])) as KeyPair;
}

/** A public key as text, for a profile or a directory. */
export async function exportPublicKey(key: CryptoKey): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.exportKey('raw', key)));
}

/** @throws where the text is no point on the curve */
export function importPublicKey(text: string): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', fromBase64Url(text), CURVE, true, []);
}

/**
 * A number that two users compare, by voice or by eye, to know that nobody stands between them: the same on both sides, in
 * 12 groups of 5 digits.
 */
export async function safetyNumber(a: CryptoKey, b: CryptoKey): Promise<string> {
  const both = (await Promise.all([exportPublicKey(a), exportPublicKey(b)])).sort().join('.');
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-512', utf8.encode(`restante safety number ${both}`)));
  return Array.from({ length: 12 }, (_, i) => {
    const group = hash.subarray(i * 5, i * 5 + 5).reduce((sum, byte) => (sum * 256 + byte) % 100_000, 0);
    return String(group).padStart(5, '0');
  }).join(' ');
}

/** Whether a body claims to be sealed. */
export function isSealed(body: string): boolean {
  return body.startsWith(PREFIX);
}

/**
 * Seals a text for two readers: the other user and the sender, whose other devices and later selves read it too. A fresh
 * content key encrypts the text (AES-256-GCM); it is wrapped for each reader by a key from two agreements, that of a
 * one-time key with the reader's and that of the sender's own key with the reader's: the second proves who sent it.
 */
export async function seal(text: string, binding: Binding, sender: KeyPair, reader: CryptoKey): Promise<string> {
  const oneTime = await generateKeyPair();
  const contentKey = crypto.getRandomValues(new Uint8Array(32));
  const context = bytesOf(binding);
  const wrap = async (to: CryptoKey): Promise<Uint8Array> =>
    encrypt(
      await agree(
        [
          [oneTime.privateKey, to],
          [sender.privateKey, to],
        ],
        [oneTime.publicKey, sender.publicKey, to],
        context,
      ),
      contentKey,
      context,
    );
  const head = [
    new Uint8Array(await crypto.subtle.exportKey('raw', oneTime.publicKey)),
    await wrap(reader),
    await wrap(sender.publicKey),
  ];
  const sealed = await encrypt(contentKey, utf8.encode(text), concat([context, ...head]));
  return PREFIX + [...head, sealed].map(toBase64Url).join('.');
}

/**
 * Opens a sealed text as either of its two readers.
 * @param sender the public key of who is said to have sent it
 * @throws where it was changed, belongs elsewhere, was sent by another, or is for other keys
 */
export async function open(
  body: string,
  binding: Binding,
  own: KeyPair,
  sender: CryptoKey,
  mine: boolean,
): Promise<string> {
  const parts = body.slice(PREFIX.length).split('.').map(fromBase64Url);
  const [oneTimeRaw, forReader, forSender, sealed] = parts;
  if (
    parts.length !== 4 ||
    oneTimeRaw === undefined ||
    forReader === undefined ||
    forSender === undefined ||
    sealed === undefined
  )
    throw new Error('not a sealed body');
  const context = bytesOf(binding);
  const oneTime = await crypto.subtle.importKey('raw', oneTimeRaw, CURVE, true, []);
  const key = await agree(
    [
      [own.privateKey, oneTime],
      [own.privateKey, sender],
    ],
    [oneTime, sender, own.publicKey],
    context,
  );
  const contentKey = await decrypt(key, mine ? forSender : forReader, context);
  return new TextDecoder('utf-8', { fatal: true }).decode(
    await decrypt(contentKey, sealed, concat([context, oneTimeRaw, forReader, forSender])),
  );
}

/** HKDF over the agreements, bound to the keys that took part and to what the message belongs to. */
async function agree(
  pairs: [CryptoKey, CryptoKey][],
  keys: CryptoKey[],
  context: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const secrets = await Promise.all(
    pairs.map(([own, other]) => crypto.subtle.deriveBits({ name: 'ECDH', public: other }, own, 256)),
  );
  const raw = await Promise.all(keys.map((key) => crypto.subtle.exportKey('raw', key)));
  const input = await crypto.subtle.importKey('raw', concat(secrets), 'HKDF', false, ['deriveBits']);
  const info = concat([utf8.encode('restante e2e1'), ...raw, context]);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(32), info }, input, 256),
  );
}

async function encrypt(
  rawKey: Uint8Array<ArrayBuffer>,
  text: Uint8Array<ArrayBuffer>,
  context: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', rawKey, 'AES-GCM', false, ['encrypt']);
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  return concat([iv, await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: context }, key, text)]);
}

async function decrypt(
  rawKey: Uint8Array<ArrayBuffer>,
  sealed: Uint8Array<ArrayBuffer>,
  context: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', rawKey, 'AES-GCM', false, ['decrypt']);
  const iv = sealed.subarray(0, NONCE_BYTES);
  return new Uint8Array(
    await crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData: context }, key, sealed.subarray(NONCE_BYTES)),
  );
}

function bytesOf({ conversation, from, id }: Binding): Uint8Array<ArrayBuffer> {
  return utf8.encode(JSON.stringify([conversation, from, id]));
}

function concat(parts: (ArrayBuffer | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const arrays = parts.map((part) => new Uint8Array(part));
  const all = new Uint8Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
