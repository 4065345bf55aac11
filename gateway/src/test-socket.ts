import { Connection, type Socket } from './connection.ts';

export type SentFrame = { t: string; seq?: number; [field: string]: unknown };

/** A socket that keeps what is written to it: what deliver and the frames do to one is all that they do. */
export class TestSocket {
  readonly frames: SentFrame[] = [];

  send(text: string): void {
    this.frames.push(JSON.parse(text) as SentFrame);
  }

  cork(work: () => void): void {
    work();
  }

  /** What was written since the last look. */
  take(): SentFrame[] {
    return this.frames.splice(0);
  }
}

/** A connection that has had its welcome, in generation 1, at the beginning of its inbox. */
export function testConnection(id = 'c1'): { connection: Connection; socket: TestSocket } {
  const socket = new TestSocket();
  const connection = new Connection(id, 'alice', 'd1', Number.MAX_SAFE_INTEGER, 0);
  connection.socket = socket as unknown as Socket;
  connection.goTo(1, 0);
  return { connection, socket };
}
