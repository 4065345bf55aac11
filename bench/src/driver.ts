import type { EngineCounts } from './cost-meter.ts';
import type { ServerHost } from './server-host.ts';

/** What a system under test does for the workloads: the same work for each, so that the figures compare. */
export type Driver = {
  name: string;
  /** What has happened to a message when `sendTo` resolves. */
  durability: string;
  start(): Promise<void>;
  /** Asked after the start. */
  versions(): Record<string, string> | Promise<Record<string, string>>;
  /** Closes the clients; servers that the host started are ended after. */
  stop(): Promise<void>;
  /**
   * Resolves when the user is online; `onMessage` may be called before that. It takes the payload as text, bytes or the
   * parsed object, and returns at once; the driver acknowledges after it returned.
   */
  connectUser(id: string, onMessage: (message: unknown) => void): Promise<void>;
  /** Orderly: the acks given are not to be lost. */
  disconnectUser(id: string): Promise<void>;
  /** Resolves when durably accepted, rejects otherwise. Calls for one user keep their order though up to 256 are unanswered. */
  sendTo(id: string, text: string): Promise<void>;
  /** Makes the inbox and stays offline; where absent, the user connects once and leaves. */
  provision?(id: string): Promise<void>;
  /** Resolves when the server has taken the acks so far. */
  ackBarrier?(id: string): Promise<void>;
  /** Resolves when everything accepted lies in its recipient's queue; where absent, accepted says so. */
  settled?(): Promise<void>;
  /** How many messages the sender was told to lie in their recipients' queues, where that is told apart from accepted. */
  stored?(): number;
  /** Where there are groups: one of them. `send` resolves when every member's queue has the message. */
  group?: { make(members: readonly string[]): Promise<void>; send(text: string): Promise<void> };
  /** What the engines were given so far, for `--costs`. */
  engineCounts?: EngineCounts;
  /** Bytes that the store of queued messages takes, by kind, where the process's RSS doesn't tell. */
  storeBytes?(): Promise<Record<string, number>>;
};
export type CreateDriver = (host: ServerHost, env: Record<string, string>) => Driver;
