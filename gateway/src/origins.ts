/**
 * Whether a browser's Origin may connect. No Origin: an app, no browser. With no list, the gateways' own pages may: the same
 * host, and in production the same port too (in development each gateway has its own).
 */
export function originAllowed(origin: string, host: string, allowed: readonly string[], production: boolean): boolean {
  if (origin === '') return true;
  if (allowed.length > 0) return allowed.includes(origin);
  try {
    const url = new URL(origin);
    const own = new URL(`${url.protocol}//${host}`);
    return production ? url.host === own.host : url.hostname === own.hostname;
  } catch {
    return false;
  }
}
