import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from '../support/frames.ts';
import type { PlannedGroup, PlannedUser } from './plan.ts';

/**
 * What happened, in the order in which it happened to the one process that plays all clients. What a client does is written before it
 * is done, what comes to it when it came; so a history holds at least what a client can know.
 */
export type Event =
  | {
      t: 'run';
      seed: number;
      minutes: number;
      nemeses: readonly string[];
      /** No fault was asked for. */
      unhurt?: boolean;
      users: readonly PlannedUser[];
      groups: readonly PlannedGroup[];
      /** Whether the log and the stores are shown at the end; else who was a member is the plan's to say. */
      inside: boolean;
    }
  | {
      t: 'send';
      via: 'socket' | 'http';
      socket?: string;
      from: string;
      id: string;
      conversation: string;
      body: string;
      ttlSeconds?: number;
    }
  | { t: 'delete'; socket: string; from: string; id: string; conversation: string; position: number }
  | { t: 'change-members'; from: string; conversation: string; add?: string[]; remove?: string[] }
  /** An answer by HTTP. `code` where it was refused. Without an answer there is none of these. */
  | { t: 'answered'; from: string; id: string; status: number; code?: string }
  | { t: 'opened'; socket: string; user: string; device: string; gateway: string }
  | { t: 'frame'; socket: string; frame: Frame }
  | { t: 'acked'; user: string; device: string; gen: number; seq: number }
  /** Dealt with alone: nacked, or acked by its id. */
  | { t: 'skipped'; user: string; device: string; gen: number; seq: number; how: 'nacked' | 'acked' }
  | { t: 'closed'; socket: string; code: number; reason: string }
  | {
      t: 'synced';
      name: string;
      user: string;
      device: string;
      reply: { gen: number; acked: number; tail: number; entries: Frame[] };
    }
  | { t: 'fault'; nemesis: string; what: 'begins' | 'happened' | 'ends' | 'failed'; detail: string }
  | { t: 'memory'; process: string; mb: number }
  | { t: 'quiet'; what: 'begins' | 'settled' | 'gives up'; detail: string }
  // What the log and the stores hold at the end.
  | { t: 'logged'; partition: number; offset: number; value: string }
  | { t: 'row'; conversation: string; position: number; id: string; from: string; entry: string }
  | { t: 'cursor'; user: string; device: string; conversation: string; position: number }
  | { t: 'dead letter'; source: string }
  | {
      t: 'inbox';
      user: string;
      entries: number;
      base: number;
      tail: number;
      partial: boolean;
      unflushed: number;
      devices: Record<string, number>;
    }
  | { t: 'session'; user: string; connection: string; device: string }
  | { t: 'due'; user: string }
  | { t: 'lag'; group: string; partition: number; records: number };

export type Recorded = Event & { at: number };
export type Recorder = (event: Event) => void;

const FILE = 'history.jsonl';

/** Writes a history, a line an event. */
export class History {
  readonly folder: string;
  readonly #stream: WriteStream;
  readonly #began = Date.now();

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.#stream = createWriteStream(join(folder, FILE));
  }

  readonly record: Recorder = (event) => {
    this.#stream.write(`${JSON.stringify({ at: Date.now() - this.#began, ...event })}\n`);
  };

  async close(): Promise<void> {
    this.#stream.end();
    await once(this.#stream, 'finish');
  }
}

/** A history as it was kept. @throws Error naming the line that is none */
export function readHistoryFile(folder: string): Recorded[] {
  return readFileSync(join(folder, FILE), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      try {
        return JSON.parse(line) as Recorded;
      } catch {
        throw new Error(`${FILE}: line ${index + 1} is no JSON: ${line.slice(0, 80)}`);
      }
    });
}
