import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';

const SOURCES = fileURLToPath(new URL('../../client/src/', import.meta.url));

/** A page that has the SDK on `window.sdk`, and nothing else. */
export async function sdkPages(): Promise<Record<string, { type: string; body: string }>> {
  const sdk = await bundle(`
    import { RestanteClient } from './client.ts';
    import { indexedDbStore } from './store/indexeddb-store.ts';
    window.sdk = { RestanteClient, indexedDbStore };
  `);
  const suite = await bundle(
    `
    import { indexedDbStore } from './store/indexeddb-store.ts';
    import { storeSuite } from './store/store-suite.ts';
    import { results } from 'vitest';
    storeSuite('indexeddb', (name, schema) => indexedDbStore('suite-' + name, schema ? { schema } : {}), { keeps: true });
    window.suite = results();
  `,
    { vitest: fileURLToPath(new URL('./browser-vitest.ts', import.meta.url)) },
  );
  const html = (script: string) => `<!doctype html><title>test</title><script type="module" src="${script}"></script>`;
  return {
    '/sdk.html': { type: 'text/html', body: html('/sdk.js') },
    '/sdk.js': { type: 'text/javascript', body: sdk },
    '/suite.html': { type: 'text/html', body: html('/suite.js') },
    '/suite.js': { type: 'text/javascript', body: suite },
  };
}

async function bundle(source: string, alias: Record<string, string> = {}): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: SOURCES, loader: 'ts' },
    ...{ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', write: false, alias, logLevel: 'error' },
  });
  return result.outputFiles?.[0]?.text ?? '';
}

/** Opens a tab with a running client of a user; what it shows of a conversation is in `shown()`. */
export async function openTab(context: BrowserContext, url: string, user: string, conversation: string): Promise<Tab> {
  const page = await context.newPage();
  await page.goto(`${url}/sdk.html`);
  await page.evaluate(START, { user, conversation });
  return new Tab(page);
}

type Shown = { id: string; body: string; state: string; from: string };
type OnPage = {
  client: { send(to: { conversation: string }, body: string): Promise<unknown>; pause(): void; resume(): void };
  shown: Shown[];
  changes: number;
  status: { phase: string; elsewhere?: string };
  shownAt: Record<number, number>;
  startedAt: number;
};

/** Runs in the page. */
const START = async ({ user, conversation }: { user: string; conversation: string }): Promise<void> => {
  const { RestanteClient, indexedDbStore } = (window as unknown as { sdk: Record<string, never> }).sdk as unknown as {
    RestanteClient: new (
      options: object,
    ) => {
      start(): Promise<void>;
      subscribeMessages(conversation: string, listener: (messages: Shown[]) => void, options: object): void;
      subscribeStatus(listener: (status: OnPage['status']) => void): void;
    };
    indexedDbStore: (name: string) => object;
  };
  const token = async () => ((await (await fetch(`/demo/token?user=${user}`)).json()) as { token: string }).token;
  const client = new RestanteClient({
    url: location.origin,
    user,
    token,
    store: indexedDbStore(`tab-${user}`),
    backoff: { baseMs: 200, maxMs: 1000 },
  });
  const page = {
    client,
    shown: [],
    changes: 0,
    status: { phase: 'stopped' },
    shownAt: {},
    startedAt: performance.now(),
  } as unknown as OnPage;
  Object.assign(window, { tab: page });
  client.subscribeMessages(
    conversation,
    (messages) => {
      page.shown = messages.map(({ id, body, state, from }) => ({ id, body, state, from }));
      page.changes++;
      page.shownAt[messages.length] ??= performance.now();
    },
    { limit: 5000 },
  );
  client.subscribeStatus((status) => {
    page.status = status;
  });
  await client.start();
};

export class Tab {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  shown(): Promise<Shown[]> {
    return this.page.evaluate(() => (window as unknown as { tab: OnPage }).tab.shown);
  }

  phase(): Promise<string> {
    return this.page.evaluate(() => (window as unknown as { tab: OnPage }).tab.status.phase);
  }

  send(conversation: string, bodies: string[]): Promise<void> {
    return this.page.evaluate(
      async ({ conversation, bodies }) => {
        const { client } = (window as unknown as { tab: OnPage }).tab;
        for (const body of bodies) await client.send({ conversation }, body);
      },
      { conversation, bodies },
    );
  }

  /** Milliseconds from the start of the client until so many messages were shown. */
  shownAfterMs(count: number): Promise<number | undefined> {
    return this.page.evaluate((count) => {
      const { shownAt, startedAt } = (window as unknown as { tab: OnPage }).tab;
      const at = shownAt[count];
      return at === undefined ? undefined : at - startedAt;
    }, count);
  }

  /**
   * Halts everything in the tab, as a browser does to one that is in the background for long: no timer, no frame, no
   * message. By the debugger, for Chromium's own freezing spares a tab that can be seen, and without a screen all can be.
   * @returns thaws it
   */
  async freeze(): Promise<() => Promise<void>> {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send('Debugger.enable');
    const halted = new Promise<void>((resolve) => session.once('Debugger.paused', () => resolve()));
    // Answered when the tab goes on.
    session.send('Runtime.evaluate', { expression: 'debugger' }).catch(() => {});
    await halted;
    return async () => {
      await session.send('Debugger.resume');
      await session.detach();
    };
  }
}
