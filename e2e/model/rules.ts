/**
 * The rules that close holes of the design, by name: what each says, and the decision of DESIGN.md that it models.
 * A run with a rule switched off behaves as an implementation would that left it out.
 */
export const RULES = {
  // The inbox
  commitAfterAll: '2: a record is committed after history, inbox and due queue have it',
  membershipAtPosition: '4: who receives at a position is evaluated at it, also on replay',
  cachesDropped: '4: a copy of memberships lasts as long as its partition is given to the process',
  rebuildIntervals: '4: a rebuild takes of a conversation what came while the user was a member',
  dedupeReread: '5: after a loss, the last hour of a partition is claimed again before it goes on',
  claimMark: '5: a mark beside the claims says up to which record they are in this memory; FLUSHALL changes no run id',
  firstHolds: '5: of two records of one id the first holds the claim, whichever was claimed first',
  enqueueOnce: '8: the last position enqueued of each source partition makes an enqueue idempotent',
  ageInList: "9: an entry's age counts from when it entered this list, a rebuild included",
  ageMark: '9, 10: a mark says up to where entries were trimmed for their age; before a cursor it means partial',
  ttlGap: '9: a message whose ttl ran out is a gap in its place',
  overflowBeforeFirst: "9: what the cap took before a user's first device came is a gap for it",
  gapCursors: '9, 11: an ack that passes an overflow moves the durable cursors of its conversations too',
  storeIdentity: '10: meta keeps the identity of its store; another one makes it partial',
  freshStore: "10: a script that was under way when the connection broke is sent again with the new store's identity",
  cut: '11: partial meta first, note the ends, wait until they are committed, history below them only',
  mergeByPartition: '11: history is merged by time between partitions, but never against the order of one',
  dirtyMarks: '11: acked positions stay in Redis, written by the ack script, until DynamoDB has them',
  cursorsForward: '11: a durable cursor moves forward only, by a conditional put',
  strongIndex: "11: a user's conversations are a table of their own, not a lagging index",
  deviceDurable: '11: a device row is durable before the first welcome',
  deviceStart: '11: a device row says where the device starts',
  birthAtLogEnds: '11: that is a position in each partition of the log, not a time by some clock',
  startNoted: '7, 11: the step that makes it in its inbox notes it; the row, and with it a rebuild, say the same',
  oldestFirst: '11: what came before a device was made stands in a rebuilt inbox before what came after',
  seenRefreshed: '7: a device that stays connected is seen again and again, durably',
  deviceExpiry: '7: a device unseen for its retention holds nothing back',
  ownCopiesInPartial: '10: own copies go into a partial inbox, whose devices nobody knows yet',
  ownCopiesSince: '11: a rebuild takes own messages from when the second device was made',
  redisTime: '7: scripts use the time of Redis',

  // Delivery
  probe:
    '15, 12: who is unacked and has a session is probed; the gateway refills; the session goes on from what it has written',
  ackAgain: '15: at a probe the gateway publishes its last ack again',
  refillCloses: '12: a refill from before the base closes the connection',
  connectedAgain: '13: user_connected again where no welcome comes of it',
  sessionsReasserted: '13: gateways say their sessions again and again',
  reassertReconnects: '13: a re-assertion that finds another session closes with 4000, not 4003',
  replacedByLiving: '13: a replaced connection is told 4003 once the client of the newer one has shown life',
  drainedAwaited: '13: after the welcome, refill again and again until the end of the backlog has come',
  disconnectCompares: '13: disconnect is compare-and-delete on the connection id',
  leaseFence: '13: a gateway that is past its lease, or finds it taken, closes its sockets and starts over',
  fitWindow: '14: what of a batch fits the window is sent, then the session flips back',
  ackPosition: '14: an ack carries the position that was sent at its seq: a mismatch is refused',
  dueCompares:
    '15: a claim is removed only where its score is unchanged; adding always changes it; an ack removes nothing',
  dueSeeded: '10, 15: after a loss the due queue is filled again; a due user without a whole inbox is rebuilt first',
  nackGap: '16: a gap stands in the place of a nacked entry',
  deadLetterFirst: '16: an entry is in the dead letters before it counts as acked',
  nackSaysWhat: '16: a nack says itself what was refused: the list may not have it any more',
  nackBeforeAck: '16: no later ack of a connection is published before its nack is in the log',
  poison: '16: an entry alone unacked at the end of several connections goes to the dead letters',
  garbageToDeadLetters: '16: an undecodable record goes to the dead letters, and the partition goes on',
  tombstoneRow: '3: a deletion is a row of its own, which every reader of the history reads',
  syncTakesNothing: 'PROTOCOL: sync takes nothing out',
  holesRemembered: 'PROTOCOL: ids beyond a hole are remembered, and count once it closes',
} as const;

export type RuleName = keyof typeof RULES;
export const RULE_NAMES = Object.keys(RULES) as RuleName[];
