import type { FaultClass } from './faults.ts';
import type { RuleName } from './rules.ts';

/** Durations in ticks; what each is in seconds is DESIGN.md's, only their order matters here. */
export const LEASE = 400;
export const RENEW = 120;
export const LEASE_COPY_AGE = 40;
export const REASSERT = 200;
export const REDELIVER = 150;
export const HEARTBEAT = 250;
export const DUE_CLAIM = 120;
export const REBUILD_LOCK = 500;
export const CONNECTED_AGAIN = 300;
export const FLUSH = 200;
export const SLOWEST_WRITE = 300;
/** How much of the log the owner of a partition claims again after a loss. */
export const REREAD = 1500;
export const BIRTH_SLACK = 50;
/** An hour, on this scale: how far clocks may be off. */
export const CLOCK_SHIFT = 400;
/** What was acked so long before a loss must not come again. */
export const LONG_ACKED = 900;
export const POISON_CONNECTIONS = 3;
export const POISON_CONNECTION_TICKS = 60;
export const POISON_TICKS = 300;

/** What a gateway is given ahead of acks, and what of that a device has at a time. */
export const WINDOW = 4;
export const DEVICE_WINDOW = 2;
export const PAGE = 2;
export const CAP = 4;

export type Shape = {
  /** User → how many devices. */
  users: Record<string, number>;
  conversations: Record<string, string[]>;
  messagesPerDevice: number;
  /** Between two messages of a device. */
  longestPause: number;
  faultCount: number;
  ticks: number;
  /** Later devices of a user arrive while messages flow. */
  lateDevices: boolean;
};

export const SHAPES = {
  tiny: {
    users: { A: 1, B: 1 },
    conversations: { 'dm:A:B': ['A', 'B'] },
    messagesPerDevice: 4,
    longestPause: 250,
    faultCount: 1,
    ticks: 1200,
    lateDevices: false,
  },
  two: {
    users: { A: 1, B: 2 },
    conversations: { 'dm:A:B': ['A', 'B'], 'grp:x': ['A', 'B'] },
    messagesPerDevice: 5,
    longestPause: 250,
    faultCount: 2,
    ticks: 1800,
    lateDevices: false,
  },
  full: {
    users: { A: 2, B: 2, C: 1 },
    conversations: { 'dm:A:B': ['A', 'B'], 'dm:A:C': ['A', 'C'], 'dm:B:C': ['B', 'C'], 'grp:x': ['A', 'B', 'C'] },
    messagesPerDevice: 8,
    longestPause: 250,
    faultCount: 6,
    ticks: 3500,
    lateDevices: true,
  },
  /** A lot at once: for what needs several things to coincide. */
  busy: {
    users: { A: 2, B: 2 },
    conversations: { 'dm:A:B': ['A', 'B'], 'grp:x': ['A', 'B'] },
    messagesPerDevice: 25,
    longestPause: 60,
    faultCount: 10,
    ticks: 2000,
    lateDevices: false,
  },
  /** Few messages at the beginning, and a long time in which they must not come back. */
  sparse: {
    users: { A: 1, B: 2 },
    conversations: { 'dm:A:B': ['A', 'B'], 'grp:x': ['A', 'B'] },
    messagesPerDevice: 4,
    longestPause: 250,
    faultCount: 10,
    ticks: 4500,
    lateDevices: false,
  },
} satisfies Record<string, Shape>;
export type ShapeName = keyof typeof SHAPES;

export type RunConfig = {
  seed: number;
  shape: Shape;
  faults: readonly FaultClass[];
  /** The rules that are switched off. */
  without: readonly RuleName[];
  trace: boolean;
};
