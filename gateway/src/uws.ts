import type * as UwsCurrent from 'uws-current';

export type Uws = typeof UwsCurrent;

const NODE_OF_CURRENT = new Set([22, 24, 26]);

/** glibc's version as a number (2.36 → 236), or Infinity where the system has none (macOS, Windows). */
function glibc(): number {
  // Without it the report looks up every network interface; not in the types of Node 20.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const match = /^(\d+)\.(\d+)/.exec(header.glibcVersionRuntime ?? '');
  return match ? Number(match[1]) * 100 + Number(match[2]) : Number.POSITIVE_INFINITY;
}

/**
 * uWebSockets.js for this Node and this C library. Chosen by version, not by trial: npm's hoisting can pair the newer wrapper
 * with the older binary, which then loads and fails later (seen on Node 20).
 */
export async function loadUws(): Promise<Uws> {
  const major = Number(process.versions.node.split('.')[0]);
  const current = NODE_OF_CURRENT.has(major) && glibc() >= 238;
  return current ? import('uws-current') : ((await import('uws-glibc-2-31')) as unknown as Uws);
}
