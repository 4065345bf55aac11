import { TOPICS } from '../contract/events.ts';
import { OPERATOR_TOPIC } from '../contract/operator-actions.ts';
import type { TableName } from './tables.ts';

export type ServiceName = 'gateway' | 'messaging' | 'notification';
export const SERVICES: readonly ServiceName[] = ['gateway', 'messaging', 'notification'];

/**
 * BatchWriteItem could delete too; nothing narrower writes 25 items in a request (DESIGN.md, decision 1). `forward`: moves positions, many a
 * request, each by a condition of its own, which only PartiQL can.
 */
export type TableAccess = 'read' | 'scan' | 'append' | 'forward' | 'write' | 'remove';
export const TABLE_ACTIONS: Record<TableAccess, readonly string[]> = {
  read: ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query'],
  scan: ['dynamodb:Scan'],
  append: ['dynamodb:BatchWriteItem'],
  forward: ['dynamodb:PartiQLInsert', 'dynamodb:PartiQLUpdate', 'dynamodb:UpdateItem'],
  write: ['dynamodb:PutItem', 'dynamodb:UpdateItem'],
  remove: ['dynamodb:DeleteItem'],
};

/** Devices' endpoints are made by the hundred: they are named by the application that they belong to. */
export const PUSH_ACTIONS = {
  application: ['sns:CreatePlatformEndpoint'],
  endpoint: ['sns:Publish', 'sns:SetEndpointAttributes'],
} as const;

/** `describe`: ends of partitions, or what a group has committed, and no record. */
export type KafkaAccess = {
  writes: readonly string[];
  reads: readonly string[];
  describesTopics: readonly string[];
  groups: readonly string[];
  /** Groups of one reader each, which it deletes when it is done: known by their prefix. */
  ownGroups: readonly string[];
  describesGroups: readonly string[];
};

export type Permissions = {
  tables: Partial<Record<TableName, readonly TableAccess[]>>;
  kafka: KafkaAccess;
  push: boolean;
  /** Signs uploads of files. */
  uploads: boolean;
};

/**
 * What each service may do, and by leaving out, what it may not: the one list that the roles are made from, that
 * `restante doctor` tries, and that a reviewer reads. `incoming_messages` stands for the epoch that is written and the one before, which is being drained.
 */
const { incoming, userEvents, outgoing, deadLetters, receipts } = TOPICS;
export const PERMISSIONS: Record<ServiceName, Permissions> = {
  gateway: {
    tables: {
      messages: ['read'],
      tombstones: ['read'],
      conversations: ['read'],
      memberships: ['read'],
      receipts: ['read'],
      devices: ['read', 'write', 'remove'],
    },
    kafka: {
      writes: [incoming, userEvents],
      // Revocations of the past are read at each start.
      reads: [outgoing, OPERATOR_TOPIC],
      describesTopics: [],
      groups: [],
      ownGroups: [`slot.${outgoing}.*`, `slot.${OPERATOR_TOPIC}.*`, `range.${OPERATOR_TOPIC}.*`],
      // How far messaging is behind: beyond a bound nothing more is accepted.
      describesGroups: ['messaging'],
    },
    push: false,
    uploads: true,
  },
  messaging: {
    tables: {
      messages: ['read', 'append'],
      tombstones: ['read', 'append'],
      conversations: ['read', 'append'],
      memberships: ['read', 'append'],
      logs: ['read', 'write'],
    },
    kafka: {
      writes: [outgoing, deadLetters],
      reads: [incoming],
      describesTopics: [],
      groups: ['messaging'],
      // What it has claimed is read again when Redis has lost it (DESIGN.md, decision 5).
      ownGroups: [`range.${incoming}*`],
      describesGroups: [],
    },
    push: false,
    uploads: false,
  },
  notification: {
    tables: {
      messages: ['read'],
      tombstones: ['read'],
      conversations: ['read'],
      memberships: ['read'],
      cursors: ['read', 'forward'],
      receipts: ['read', 'forward'],
      // The due queue is filled again from all of them, after Redis was lost (DESIGN.md, decision 10).
      devices: ['read', 'scan', 'write', 'remove'],
    },
    kafka: {
      // The operator's page records what it does, sends notices, reads dead letters and sends them again.
      writes: [outgoing, deadLetters, receipts, OPERATOR_TOPIC, incoming, userEvents],
      reads: [userEvents, OPERATOR_TOPIC, deadLetters, receipts],
      // A rebuild waits until messaging has committed what the log held when it began (DESIGN.md, decision 11).
      describesTopics: [incoming],
      groups: ['notification', 'webhooks-receipts', 'webhooks-dead-letters'],
      ownGroups: [`range.${OPERATOR_TOPIC}.*`, `range.${deadLetters}.*`],
      describesGroups: ['messaging'],
    },
    push: true,
    uploads: false,
  },
};
