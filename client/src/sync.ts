import { applySteps } from './apply-frames.ts';
import { type BodyCodec, decodeBody } from './codec.ts';
import type { Http } from './http.ts';
import type { Step } from './steps.ts';
import type { Store } from './store/store.ts';

const PAGE = 200;
/** Pages in one run: a wake-up has seconds, what is left comes with the next or with the socket. */
const MAX_PAGES = 50;

export type Synced = { received: number; topics: Set<string>; pull: boolean };

/** Fetches what waits by HTTP, page by page: saved, then acknowledged, as over the socket. */
export async function syncByHttp(options: {
  store: Store;
  user: string;
  codec: BodyCodec | undefined;
  http: Http;
  device: string;
}): Promise<Synced> {
  const { store, user, codec, http, device } = options;
  const synced: Synced = { received: 0, topics: new Set(), pull: false };
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await http.sync(device, PAGE);
    const steps: Step[] = [{ kind: 'inbox', inbox: { gen: page.gen, acked: page.acked } }];
    for (const entry of page.entries) {
      steps.push(
        entry.t === 'message'
          ? { kind: 'entry', entry, decoded: await decodeBody(codec, entry.body, entry) }
          : { kind: 'entry', entry },
      );
    }
    const applied = await store.transaction('write', (tx) => applySteps(tx, steps, user));
    if (applied.ack !== undefined) await http.ack(device, applied.ack.gen, applied.ack.seq);
    synced.received += page.entries.length;
    for (const topic of applied.topics) synced.topics.add(topic);
    synced.pull ||= applied.pull;
    if (!page.more || applied.ack === undefined) break;
  }
  return synced;
}
